"""Labels of cells, from what is remembered of labelled ones. C cells, M modalities, Y labels."""

from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.distributions import Normal

from mmvae.analysis import DiscriminantAnalysis, few_of_each
from mmvae.fusion import Posteriors
from mmvae.model._reader import Data, Indices, Reader

from ._profiles import fused_mean

MIN_LABELLED = 10


@torch.inference_mode()
def label_probabilities(
    reader: Reader, adata: Data | None, indices: Indices | None, batch_size: int | None
) -> pd.DataFrame:
    """Probability of each label, cells by labels."""
    known, labels = _labelled(reader), reader.labels
    data = reader.data(adata)
    cells, presence = reader.cells(data, indices)
    fusion = reader.module.fusion
    latent = [fused_mean(fusion, posteriors).cpu() for _, posteriors in reader.posteriors(data, cells, batch_size)]
    values = torch.cat(latent).numpy()
    found = np.zeros((len(cells), len(labels)))
    for pattern in np.unique(presence, axis=0):
        rows = (presence == pattern).all(axis=1)
        classifier = DiscriminantAnalysis.fit(_as_seen(reader, known, pattern), known["codes"], known["counts"])
        found[rows] = classifier.probabilities(values[rows])
    return pd.DataFrame(found, index=data.obs_names[cells], columns=labels)


@torch.inference_mode()
def remember_labelled(reader: Reader) -> dict[str, Any] | None:
    """Codes and posteriors of labelled cells, at most so many of each, which a query's model needs, too; ``None`` without.

    ``codes``, ``(N,)``; ``counts``, of all labelled cells by label, ``(Y,)``; ``present``, boolean, ``(N, M)``; ``loc`` and ``scale``, by modality, ``(N, D_m)``, 0 and 1 where
    the modality is missing.
    """
    if not reader.labels:
        return None
    codes, n_labels = reader.label_codes(), len(reader.labels)
    cells = few_of_each(codes, n_labels)
    read = [posteriors for _, posteriors in reader.posteriors(None, cells)]
    return {
        "codes": codes[cells],
        "counts": np.bincount(codes, minlength=n_labels)[:n_labels],
        "present": torch.cat([p.encoded for p in read]).cpu().numpy(),
        "loc": {name: torch.cat([p.normals[name].loc for p in read]).cpu().numpy() for name in reader.names},
        "scale": {name: torch.cat([p.normals[name].scale for p in read]).cpu().numpy() for name in reader.names},
    }


def _labelled(reader: Reader) -> dict[str, Any]:
    """What is remembered of the labelled cells."""
    known = reader.memory.labelled
    if known is None:
        msg = "Expected a model trained with labels; got none. Give labels_key in setup_mudata, and train."
        raise ValueError(msg)
    codes = known["codes"]
    n_labels = len(np.unique(codes))
    if len(codes) < MIN_LABELLED or not 1 < n_labels < len(codes):
        msg = (
            f"Expected {MIN_LABELLED} labelled cells of two labels at the least, and more cells than labels; got "
            f"{len(codes)} cells of {n_labels}. Label more cells."
        )
        raise ValueError(msg)
    return known


def _as_seen(reader: Reader, known: dict[str, Any], pattern: np.ndarray) -> np.ndarray:
    """Fused latents of the labelled cells if they had no more than ``pattern``; as they are if they have none of it."""
    device = reader.module.device
    present = torch.as_tensor(known["present"], device=device)
    kept = present & torch.as_tensor(pattern, device=device)
    kept = torch.where(kept.any(dim=1, keepdim=True), kept, present)
    normals = {}
    for name in reader.names:
        loc, scale = (torch.as_tensor(known[part][name], device=device) for part in ("loc", "scale"))
        normals[name] = Normal(loc, scale, validate_args=False)
    return fused_mean(reader.module.fusion, Posteriors.masked(normals, kept)).cpu().numpy()
