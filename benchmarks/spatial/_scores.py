"""Scores of an embedding of spots against annotated regions. N spots, D dimensions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.scores.embedding import clustered

from ._graph import neighbours
from ._methods import METHODS
from ._regions import known_regions
from ._tissues import SECTION

if TYPE_CHECKING:
    from anndata import AnnData
    from sklearn.base import ClassifierMixin

N_BLOCKS = 20


def domain_scores(embedding: np.ndarray, adata: AnnData) -> dict[str, float]:
    """NMI and ARI of clusters, over spots that have a region; of all sections' spots, and within sections."""
    labels, known, sections = known_regions(adata)
    embedding, labels, sections = embedding[known], labels[known], sections[known]
    nmi, ari = clustered(embedding, labels)
    inside = [sections == section for section in np.unique(sections)]
    # One region only is no question to clusters.
    asked = [rows for rows in inside if len(np.unique(labels[rows])) > 1]
    within = np.mean([clustered(embedding[rows], labels[rows]) for rows in asked], axis=0)
    return {"nmi": nmi, "ari": ari, "nmi_within": float(within[0]), "ari_within": float(within[1])}


def patch_scores(embedding: np.ndarray, adata: AnnData) -> dict[str, float]:
    """Accuracy of a classifier of regions on isolated spots and on the others, patches of tissue left out in turn."""
    labels, known, _ = known_regions(adata)
    edges = sp.coo_matrix(neighbours(adata))
    same = np.zeros(adata.n_obs)
    np.add.at(same, edges.row, labels[edges.row] == labels[edges.col])
    isolated = known & (same == 0)
    guess = np.full(adata.n_obs, "", dtype=object)
    guess[known] = cross_val_predict(
        classifier(), embedding[known], labels[known], groups=_patches(adata)[known], cv=GroupKFold(5)
    )
    right = guess == labels
    scores = {"others": float(right[known & ~isolated].mean()), "n_isolated": float(isolated.sum())}
    return scores | ({"isolated": float(right[isolated].mean())} if isolated.any() else {})


def held_out_score(adata: AnnData, method: str, seed: int) -> float:
    """Macro-F1 of regions in a section that neither method nor classifier saw, over regions that others have, too."""
    labels, known, sections = known_regions(adata)
    scores = []
    for section in np.unique(sections):
        out = sections == section
        embedding = METHODS[method](adata[~out].copy(), adata, seed)
        learnt = classifier().fit(embedding[~out & known], labels[~out & known])
        asked = out & known & np.isin(labels, labels[~out & known])
        guess = learnt.predict(embedding[asked])
        scores.append(f1_score(labels[asked], guess, labels=np.unique(labels[asked]), average="macro"))
    return float(np.mean(scores))


def classifier() -> ClassifierMixin:
    """A logistic regression, of balanced classes, of standardised dimensions."""
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=2_000, class_weight="balanced"))


def _patches(adata: AnnData) -> np.ndarray:
    """About 20 patches of each section: cells of a grid over it."""
    places, sections = np.asarray(adata.obsm["spatial"], dtype=float), adata.obs[SECTION].to_numpy(dtype=str)
    side = round(N_BLOCKS**0.5)
    names = np.empty(adata.n_obs, dtype=object)
    for section in np.unique(sections):
        inside = sections == section
        low, high = places[inside].min(axis=0), places[inside].max(axis=0)
        cell = np.minimum((places[inside] - low) / (high - low) * side, side - 1e-9).astype(int)
        names[inside] = [f"{section} {tuple(c.tolist())}" for c in cell]
    return names
