"""Scores of an embedding against known labels and batches."""

from __future__ import annotations

import anndata as ad
import numpy as np
import scanpy as sc
from sklearn.metrics import adjusted_rand_score, f1_score, normalized_mutual_info_score, silhouette_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

RESOLUTIONS = (0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.4, 2.0)
MINIMUM_CELLS = 10
N_NEIGHBORS = 15


def bio_conservation(embedding: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """NMI and ARI of Leiden clusters (the best resolution by NMI), silhouette, kNN macro-F1, and their mean, ``bio``.

    Parameters
    ----------
    embedding
        One row per cell, ``(n_cells, n_dimensions)``.
    labels
        Label of each cell; labels of fewer than 10 cells are left out.
    """
    embedding, labels = _frequent(embedding, labels)
    nmi, ari = _clustering(embedding, labels)
    scores = {
        "nmi": nmi,
        "ari": ari,
        "silhouette": (1 + silhouette_score(embedding, labels)) / 2,
        "knn_f1": _knn_f1(embedding, labels),
    }
    return scores | {"bio": float(np.mean(list(scores.values())))}


def batch_mixing(embedding: np.ndarray, labels: np.ndarray, batch: np.ndarray) -> float:
    """Mixing of batches among the neighbours of a cell within its label; 1 is as if batches were shuffled.

    Share of neighbours from other batches over the share expected from the label's batch composition, averaged over
    the cells of labels that have several batches.
    """
    embedding, kept = _frequent(embedding, np.stack([labels, batch], axis=1))
    labels, batch = kept[:, 0], kept[:, 1]
    ratios = []
    for label in np.unique(labels):
        inside = labels == label
        own = batch[inside]
        shares = {b: (own == b).mean() for b in np.unique(own)}
        if len(shares) < 2:
            continue
        k = min(N_NEIGHBORS, inside.sum() - 1)
        neighbours = NearestNeighbors(n_neighbors=k).fit(embedding[inside]).kneighbors()[1]
        other = (own[neighbours] != own[:, None]).mean(axis=1)
        expected = np.array([1 - shares[b] for b in own])
        ratios.extend(other / expected)
    return float(np.mean(ratios)) if ratios else float("nan")


def _frequent(embedding: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    first = labels if labels.ndim == 1 else labels[:, 0]
    names, counts = np.unique(first.astype(str), return_counts=True)
    kept = np.isin(first.astype(str), names[counts >= MINIMUM_CELLS])
    return embedding[kept], labels[kept].astype(str)


def _clustering(embedding: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    adata = ad.AnnData(obsm={"X": embedding}, shape=(len(embedding), 0))
    sc.pp.neighbors(adata, use_rep="X", n_neighbors=N_NEIGHBORS, random_state=0)
    best = (0.0, 0.0)
    for resolution in RESOLUTIONS:
        sc.tl.leiden(adata, resolution=resolution, flavor="igraph", n_iterations=2, random_state=0)
        clusters = adata.obs["leiden"].to_numpy()
        best = max(best, (normalized_mutual_info_score(labels, clusters), adjusted_rand_score(labels, clusters)))
    return best


def _knn_f1(embedding: np.ndarray, labels: np.ndarray) -> float:
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    guess = cross_val_predict(KNeighborsClassifier(N_NEIGHBORS), embedding, labels, cv=folds)
    return float(f1_score(labels, guess, average="macro"))
