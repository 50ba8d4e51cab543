"""Scores of the embeddings of an arm. C cells."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from sklearn.linear_model import RidgeCV
from sklearn.neighbors import KNeighborsClassifier

from benchmarks import inputs
from benchmarks.scores import mosaic
from benchmarks.scores.embedding import N_NEIGHBORS, batch_mixing, bio_conservation

if TYPE_CHECKING:
    from mudata import MuData

    from mmvae import MultiVAE

    from ._split import Split

READOUTS = {"fused": "", "shared": "_shared"}
PENALTIES = np.logspace(-2, 3, 6)


def embedding(model: MultiVAE, split: Split) -> dict[str, float]:
    """Scores of both readouts; those of ``"shared"`` have names that end in ``_shared``.

    ``bio`` and ``ari`` are over all real cells, or over the held-out simulated ones. ``foscttm``: between the views of
    held-out cells through one modality each. ``transfer``: accuracy of labels of held-out cells, seen through one
    modality, from the 15 nearest training cells that have several.
    """
    found = {}
    for readout, suffix in READOUTS.items():
        view = _View(model, readout)
        scores = _structure(view, split)
        scores |= {"foscttm": _foscttm(view, split), "transfer": _transfer(view, split)}
        found |= {f"{name}{suffix}": value for name, value in scores.items()}
    return found | (_recovered(_View(model, "fused"), split) if split.truth else {})


class _View:
    """A model's readout as a function of cells."""

    def __init__(self, model: MultiVAE, readout: str) -> None:
        self.model, self.readout = model, readout

    def __call__(self, mdata: MuData) -> np.ndarray:
        return self.model.get_latent_representation(mdata, modality=self.readout)


def _structure(view: _View, split: Split) -> dict[str, float]:
    mdata = split.held if split.truth else split.whole
    labels = split.labels_of(mdata)
    known = ~np.isin(labels, split.unknown)
    scores = bio_conservation(view(mdata)[known], labels[known])
    if split.batch is not None:
        batch = mdata.obs[split.batch].astype(str).to_numpy()
        scores["batch_mixing"] = batch_mixing(view(mdata)[known], labels[known], batch[known])
    return scores


def _foscttm(view: _View, split: Split) -> float:
    """Mean over the pairs of modalities that held-out cells share."""
    seen = {name: (mdata.obs_names, view(mdata)) for name, mdata in split.alone.items()}
    found = []
    for (names, one), (others, two) in combinations(seen.values(), 2):
        both = names.intersection(others)
        if len(both) > 1:
            found.append(mosaic.foscttm(one[names.get_indexer(both)], two[others.get_indexer(both)]))
    return float(np.mean(found))


def _transfer(view: _View, split: Split) -> float:
    """Mean over the modalities."""
    several = inputs.presence(split.train).sum(axis=1) > 1
    labels = split.labels_of(split.train)
    reference = several & ~np.isin(labels, split.unknown)
    classifier = KNeighborsClassifier(N_NEIGHBORS).fit(view(split.train)[reference], labels[reference])
    found = []
    for mdata in split.alone.values():
        truth = split.labels_of(mdata)
        known = ~np.isin(truth, split.unknown)
        found.append(float((classifier.predict(view(mdata)[known]) == truth[known]).mean()))
    return float(np.mean(found))


def _recovered(view: _View, split: Split) -> dict[str, float]:
    """R2 of the true factors of half of the held-out cells, from a ridge probe on the other half seen in full.

    ``r2_full``, ``r2_from_<modality>``: shared factors; ``r2_private_<modality>``: private ones, from all modalities.
    """
    half = split.held.n_obs // 2
    full, shared = view(split.held), split.truth["shared"]
    probe = RidgeCV(PENALTIES).fit(full[:half], shared[:half])
    found = {"r2_full": float(probe.score(full[half:], shared[half:]))}
    for name, mdata in split.alone.items():
        own = view(mdata)[mdata.obs_names.get_indexer(split.held.obs_names)]
        found[f"r2_from_{name}"] = float(probe.score(own[half:], shared[half:]))
        truth = split.truth[f"private_{name}"]
        private = RidgeCV(PENALTIES).fit(full[:half], truth[:half])
        found[f"r2_private_{name}"] = float(private.score(full[half:], truth[half:]))
    return found
