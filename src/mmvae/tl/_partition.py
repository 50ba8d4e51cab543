"""Clusters of points in an embedding. N points, D dimensions, K clusters."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import scanpy as sc
from anndata import AnnData
from sklearn.mixture import GaussianMixture

MOST_CLUSTERS = 20
N_STARTS, N_STARTS_TO_CHOOSE = 10, 2
# Nats per point. At scikit-learn's 1e-3 the fit often ends where k-means has begun it: ARI .81 in place of .85 on STARmap.
TOLERANCE, MAX_ITERATIONS = 1e-5, 1_000
N_NEIGHBORS = 15
RESOLUTIONS, N_HALVINGS = (0.01, 8.0), 16


class Partition(NamedTuple):
    """Number of each point's cluster, ``(N,)``, and how it was found, as HDF5 can hold it."""

    clusters: np.ndarray
    found: Mapping[str, Any]


def by_mixture(points: np.ndarray, n_clusters: int | None, seed: int) -> Partition:
    """The most probable components of a Gaussian mixture with one covariance; their number by the BIC if not given."""
    found: dict[str, Any] = {}
    if n_clusters is None:
        numbers = range(1, min(MOST_CLUSTERS, len(points)) + 1)
        bic = np.array([_mixture(points, k, seed, N_STARTS_TO_CHOOSE).bic(points) for k in numbers])
        n_clusters = numbers[bic.argmin()]
        found["bic"] = bic
    return Partition(_mixture(points, n_clusters, seed, N_STARTS).predict(points), found)


def by_leiden(points: np.ndarray, n_clusters: int | None, seed: int) -> Partition:
    """Leiden's communities of the graph of nearest points, at the resolution that has so many, or at 1."""
    adata = AnnData(obsm={"X": points}, shape=(len(points), 0))
    sc.pp.neighbors(adata, use_rep="X", n_neighbors=N_NEIGHBORS, random_state=seed)
    if n_clusters is None:
        return _communities(adata, 1.0, seed)
    low, high = RESOLUTIONS
    for _ in range(N_HALVINGS):
        middle = float(np.sqrt(low * high))
        partition = _communities(adata, middle, seed)
        n_found = len(np.unique(partition.clusters))
        if n_found == n_clusters:
            return partition
        low, high = (middle, high) if n_found < n_clusters else (low, middle)
    msg = (
        f"Expected a resolution at which Leiden finds {n_clusters} domains; got {n_found} at {middle:.3g}, and none "
        f"nearby with {n_clusters}. Take another n_domains, or method='mixture'."
    )
    raise ValueError(msg)


def _mixture(points: np.ndarray, n_clusters: int, seed: int, n_starts: int) -> GaussianMixture:
    fit = {"n_init": n_starts, "tol": TOLERANCE, "max_iter": MAX_ITERATIONS}
    return GaussianMixture(n_clusters, covariance_type="tied", random_state=seed, **fit).fit(points)


def _communities(adata: AnnData, resolution: float, seed: int) -> Partition:
    sc.tl.leiden(adata, resolution=resolution, flavor="igraph", directed=False, n_iterations=2, random_state=seed)
    return Partition(adata.obs["leiden"].cat.codes.to_numpy(), {"resolution": resolution})
