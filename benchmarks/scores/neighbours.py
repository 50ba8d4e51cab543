"""Scores of a method that gives neighbours and no embedding.

C cells, K neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass

import anndata as ad
import numpy as np
import scanpy as sc
from sklearn.metrics import f1_score, silhouette_score
from umap.umap_ import fuzzy_simplicial_set

from .embedding import N_NEIGHBORS, clustering, expected_other, folds, frequent

N_DIFFUSION = 15


@dataclass(frozen=True)
class Neighbours:
    """Each cell's nearest other cells, nearest first, and how far they are; both ``(C, K)``; -1 where there is none."""

    indices: np.ndarray
    distances: np.ndarray

    def among(self, kept: np.ndarray) -> Neighbours:
        """What remains if only the cells ``kept``, boolean, had been there."""
        number = np.where(kept, np.cumsum(kept) - 1, -1)
        return self._where(kept[self.indices], number, kept)

    def of_group(self, groups: np.ndarray) -> Neighbours:
        """Only neighbours of the cell's own group."""
        same = groups[self.indices] == groups[:, None]
        return self._where(same & (self.indices >= 0), np.arange(len(groups)), np.ones(len(groups), dtype=bool))

    def nearest(self, k: int) -> Neighbours:
        """The first ``k``."""
        return Neighbours(self.indices[:, :k], self.distances[:, :k])

    def _where(self, wanted: np.ndarray, number: np.ndarray, rows: np.ndarray) -> Neighbours:
        order = np.argsort(~wanted, axis=1, kind="stable")
        indices = np.where(wanted, number[self.indices], -1)
        return Neighbours(
            np.take_along_axis(indices, order, axis=1)[rows], np.take_along_axis(self.distances, order, axis=1)[rows]
        )


def bio_conservation(neighbours: Neighbours, labels: np.ndarray) -> dict[str, float]:
    """The scores of :func:`.embedding.bio_conservation`, from neighbours; the silhouette is that of a diffusion map."""
    kept = frequent(labels)
    neighbours, labels = neighbours.among(kept), labels[kept].astype(str)
    adata = _fuzzy_graph(neighbours.nearest(N_NEIGHBORS - 1))
    nmi, ari = clustering(adata, labels)
    scores = {
        "nmi": nmi,
        "ari": ari,
        "silhouette": (1 + silhouette_score(_diffusion_map(adata), labels)) / 2,
        "knn_f1": _knn_f1(neighbours, labels),
    }
    return scores | {"bio": float(np.mean(list(scores.values())))}


def batch_mixing(neighbours: Neighbours, labels: np.ndarray, batch: np.ndarray) -> float:
    """The score of :func:`.embedding.batch_mixing`; a cell's neighbours are those of its label among the K it has."""
    kept = frequent(labels)
    labels, batch = labels[kept].astype(str), batch[kept].astype(str)
    inside = neighbours.among(kept).of_group(labels).nearest(N_NEIGHBORS).indices
    found = inside >= 0
    other = ((batch[inside] != batch[:, None]) & found).sum(axis=1) / np.maximum(found.sum(axis=1), 1)
    expected = expected_other(labels, batch)
    scored = found.any(axis=1) & (expected > 0)
    return float((other[scored] / expected[scored]).mean()) if scored.any() else float("nan")


def _fuzzy_graph(neighbours: Neighbours) -> ad.AnnData:
    """The graph that scanpy makes of neighbours, the cell itself being the first."""
    n_cells = len(neighbours.indices)
    indices = np.column_stack([np.arange(n_cells), neighbours.indices])
    distances = np.column_stack([np.zeros(n_cells), neighbours.distances])
    graph = fuzzy_simplicial_set(
        np.zeros((n_cells, 1)), indices.shape[1], None, None, knn_indices=indices, knn_dists=distances
    )[0]
    adata = ad.AnnData(shape=(n_cells, 0))
    adata.obsp["connectivities"] = graph.tocsr()
    adata.obsp["distances"] = graph.tocsr()
    params = {"n_neighbors": indices.shape[1], "method": "umap"}
    adata.uns["neighbors"] = {
        "connectivities_key": "connectivities",
        "distances_key": "distances",
        "params": params,
    }
    return adata


def _diffusion_map(adata: ad.AnnData) -> np.ndarray:
    """Diffusion distances summed over all scales: eigenvectors times lambda / (1 - lambda)."""
    sc.tl.diffmap(adata, n_comps=N_DIFFUSION, random_state=0)
    values, vectors = adata.uns["diffmap_evals"], adata.obsm["X_diffmap"]
    moving = values < 1 - 1e-6
    return vectors[:, moving] * (values[moving] / (1 - values[moving]))


def _knn_f1(neighbours: Neighbours, labels: np.ndarray) -> float:
    """Vote of a cell's nearest training cells, in the folds that embeddings are scored in."""
    names, codes = np.unique(labels, return_inverse=True)
    guess = np.zeros(len(labels), dtype=int)
    for train, test in folds().split(codes, codes):
        voters = np.isin(neighbours.indices, train)
        voters &= np.cumsum(voters, axis=1) <= N_NEIGHBORS
        votes = np.stack([((codes[neighbours.indices] == c) & voters)[test].sum(axis=1) for c in range(len(names))])
        guess[test] = votes.argmax(axis=0)
    return float(f1_score(codes, guess, average="macro"))
