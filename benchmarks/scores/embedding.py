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
N_LISI_NEIGHBORS = 90


def bio_conservation(embedding: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """NMI and ARI of Leiden clusters (the best resolution by NMI), silhouette, kNN macro-F1, and their mean, ``bio``.

    Parameters
    ----------
    embedding
        One row per cell, ``(n_cells, n_dimensions)``.
    labels
        Label of each cell; labels of fewer than 10 cells are left out.
    """
    kept = frequent(labels)
    embedding, labels = embedding[kept], labels[kept].astype(str)
    nmi, ari = clustered(embedding, labels)
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
    kept = frequent(labels)
    embedding, labels, batch = embedding[kept], labels[kept].astype(str), batch[kept].astype(str)
    expected = expected_other(labels, batch)
    ratios = []
    for label in np.unique(labels[expected > 0]):
        inside = labels == label
        own = batch[inside]
        k = min(N_NEIGHBORS, inside.sum() - 1)
        neighbours = NearestNeighbors(n_neighbors=k).fit(embedding[inside]).kneighbors()[1]
        other = (own[neighbours] != own[:, None]).mean(axis=1)
        ratios.extend(other / expected[inside])
    return float(np.mean(ratios)) if ratios else float("nan")


def ilisi(indices: np.ndarray, distances: np.ndarray, batch: np.ndarray) -> float:
    """Batches in the neighbourhood of a cell (scib-metrics' iLISI), whatever its label; 0 is one batch, 1 all equally.

    Parameters
    ----------
    indices, distances
        Nearest other cells of each cell, nearest first, ``(n_cells, 90)``, or fewer.
    batch
        Batch of each cell.
    """
    from scib_metrics import ilisi_knn
    from scib_metrics.nearest_neighbors import NeighborsResults

    found = NeighborsResults(indices=indices.astype(np.int32), distances=distances.astype(np.float32))
    return float(ilisi_knn(found, np.unique(batch.astype(str), return_inverse=True)[1]))


def nearest(embedding: np.ndarray, k: int = N_LISI_NEIGHBORS) -> tuple[np.ndarray, np.ndarray]:
    """Numbers and distances of each cell's ``k`` nearest other cells, or of a third of the cells if those are fewer."""
    k = min(k, len(embedding) // 3)
    distances, indices = NearestNeighbors(n_neighbors=k).fit(embedding).kneighbors()
    return indices, distances


def frequent(labels: np.ndarray) -> np.ndarray:
    """Whether each cell's label has 10 cells or more, boolean, ``(n_cells,)``."""
    codes, counts = np.unique(labels.astype(str), return_inverse=True, return_counts=True)[1:]
    return counts[codes] >= MINIMUM_CELLS


def expected_other(labels: np.ndarray, batch: np.ndarray) -> np.ndarray:
    """Share of a cell's label that is in other batches, ``(n_cells,)``."""
    own = (labels[:, None] == np.unique(labels)) @ _composition(labels, batch)
    return 1 - own[np.arange(len(batch)), np.unique(batch, return_inverse=True)[1]]


def clustered(embedding: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """:func:`clustering` of the graph of nearest neighbours in an embedding."""
    adata = ad.AnnData(obsm={"X": embedding}, shape=(len(embedding), 0))
    sc.pp.neighbors(adata, use_rep="X", n_neighbors=N_NEIGHBORS, random_state=0)
    return clustering(adata, labels)


def clustering(adata: ad.AnnData, labels: np.ndarray) -> tuple[float, float]:
    """NMI and ARI of the Leiden clusters of a graph, at the resolution with the best NMI."""
    best = (0.0, 0.0)
    for resolution in RESOLUTIONS:
        sc.tl.leiden(adata, resolution=resolution, flavor="igraph", n_iterations=2, random_state=0)
        clusters = adata.obs["leiden"].to_numpy()
        best = max(best, (normalized_mutual_info_score(labels, clusters), adjusted_rand_score(labels, clusters)))
    return best


def folds() -> StratifiedKFold:
    """The folds of the kNN classifier."""
    return StratifiedKFold(5, shuffle=True, random_state=0)


def _composition(labels: np.ndarray, batch: np.ndarray) -> np.ndarray:
    """Share of each batch in each label, ``(n_labels, n_batches)``."""
    inside = (labels == np.unique(labels)[:, None]).astype(float) @ (batch[:, None] == np.unique(batch))
    return inside / inside.sum(axis=1, keepdims=True)


def _knn_f1(embedding: np.ndarray, labels: np.ndarray) -> float:
    guess = cross_val_predict(KNeighborsClassifier(N_NEIGHBORS), embedding, labels, cv=folds())
    return float(f1_score(labels, guess, average="macro"))
