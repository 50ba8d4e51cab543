"""Embeddings that nothing is trained for: principal components, smoothed in space, and BANKSY. N spots, G genes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scanpy as sc
import scipy.sparse as sp
from scipy.sparse.linalg import splu
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

from ._graph import averaging, neighbours
from ._tissues import SECTION

if TYPE_CHECKING:
    from collections.abc import Callable

    from anndata import AnnData

N_COMPONENTS = 20
DEPTH_TOTAL = 1e4
DIFFUSION = 0.5
N_NEAREST = 15


def pca(trained: AnnData, shown: AnnData, seed: int) -> np.ndarray:
    """Principal components of log-normalised counts, ``(N, 20)``."""
    first, second = (logged(adata) for adata in (trained, shown))
    return PCA(N_COMPONENTS, svd_solver="covariance_eigh").fit(first).transform(second)


def pca_of_sums(trained: AnnData, shown: AnnData, seed: int) -> np.ndarray:
    """The same of counts that are summed over each spot and its neighbours."""
    first, second = (adata.copy() for adata in (trained, shown))
    for adata in (first, second):
        adata.X = (neighbours(adata) + sp.eye(adata.n_obs, format="csr")) @ sp.csr_matrix(adata.X)
    return pca(first, second, seed)


def smoothed(
    trained: AnnData, shown: AnnData, seed: int, *, smooth: Callable[[AnnData, np.ndarray], np.ndarray]
) -> np.ndarray:
    """Principal components, smoothed on the sections that are shown."""
    return smooth(shown, pca(trained, shown, seed))


def mean(adata: AnnData, values: np.ndarray, *, n_neighbors: int) -> np.ndarray:
    """Mean over the neighbours, a spot itself left out."""
    return averaging(neighbours(adata, n_neighbors)) @ values


def around(adata: AnnData, values: np.ndarray) -> np.ndarray:
    """Mean over a spot and its 30 nearest, or the whole rings on a lattice that make no more."""
    return averaging(neighbours(adata, 2 * N_NEAREST) + sp.eye(adata.n_obs)) @ values


def twice(adata: AnnData, values: np.ndarray) -> np.ndarray:
    """Mean over a spot and its six neighbours, twice."""
    once = averaging(neighbours(adata) + sp.eye(adata.n_obs))
    return once @ (once @ values)


def diffused(adata: AnnData, values: np.ndarray) -> np.ndarray:
    r""":math:`(I + L / 2)^{-1}` of the values, with the Laplacian L of the graph of six neighbours."""
    graph = neighbours(adata)
    laplacian = sp.diags(graph.sum(axis=1).A1) - graph
    return splu(sp.csc_matrix(sp.eye(adata.n_obs) + DIFFUSION * laplacian)).solve(values)


def banksy(trained: AnnData, shown: AnnData, seed: int, *, share: float) -> np.ndarray:
    """Components of own expression, the mean of 15 nearest and the gradient over 30, after BANKSY's published formula.

    ``share`` of the variance, BANKSY's lambda, is that of the surroundings, two thirds of it the mean's.
    """
    first, second = (_banksy_parts(adata, share) for adata in (trained, shown))
    return PCA(N_COMPONENTS, svd_solver="arpack", random_state=seed).fit(first).transform(second)


def logged(adata: AnnData) -> np.ndarray:
    """Log-normalised counts, dense, ``(N, G)``."""
    adata = adata.copy()
    sc.pp.normalize_total(adata, target_sum=DEPTH_TOTAL)
    sc.pp.log1p(adata)
    return sp.csr_matrix(adata.X).toarray()


def _banksy_parts(adata: AnnData, share: float) -> np.ndarray:
    """Standardised own expression, mean of the neighbours and magnitude of the azimuthal Gabor filter, ``(N, 3 G)``."""
    own = logged(adata)
    near, around = np.zeros_like(own), np.zeros_like(own)
    for section in adata.obs[SECTION].unique():
        rows = (adata.obs[SECTION] == section).to_numpy()
        places = np.asarray(adata.obsm["spatial"], dtype=float)[rows]
        near[rows] = _weights(places, N_NEAREST, turns=0).real @ own[rows]
        gabor = _weights(places, 2 * N_NEAREST, turns=1)
        # The filter sees differences to the mean of those that it is over.
        around[rows] = np.abs(gabor @ own[rows] - gabor.sum(axis=1).A1[:, None] * (abs(gabor) @ own[rows]))
    shares = ((own, 1 - share), (near, share * 2 / 3), (around, share / 3))
    return np.concatenate([np.sqrt(part) * _standardised(values) for values, part in shares], axis=1)


def _weights(places: np.ndarray, k: int, turns: int) -> sp.csr_matrix:
    """Weights of the nearest, falling as a Gaussian of the distance over its median, with the angle as the phase."""
    distances, nearest = NearestNeighbors(n_neighbors=k).fit(places).kneighbors()
    weights = np.exp(-np.square(distances / np.median(distances, axis=1, keepdims=True)))
    ahead = places[nearest] - places[:, None]
    phase = np.exp(1j * turns * np.arctan2(ahead[..., 1], ahead[..., 0]))
    weights = weights / weights.sum(axis=1, keepdims=True) * phase
    starts = np.arange(0, nearest.size + 1, k)
    return sp.csr_matrix((weights.ravel(), nearest.ravel(), starts), shape=(len(places), len(places)))


def _standardised(values: np.ndarray) -> np.ndarray:
    spread = values.std(axis=0)
    return (values - values.mean(axis=0)) / np.where(spread > 0, spread, 1)
