"""Clusters of points in an embedding. N points, D dimensions, K clusters."""

from importlib.util import find_spec
from typing import NamedTuple

import numpy as np
import scanpy as sc
from anndata import AnnData
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture

# One covariance undoes the scale of dimensions: those that a model gave up would count as much as any. Of shares of .95 to 1,
# .99 and .995 did best on DLPFC, STARmap, mob and pdac_a (mean ARI .54, and .51 of all dimensions; DLPFC .54 and .44).
KEPT_VARIANCE = 0.995
# Nats per point. At scikit-learn's 1e-3 the fit often ends where k-means has begun it: ARI .81 in place of .85 on STARmap.
N_STARTS, TOLERANCE, MAX_ITERATIONS = 10, 1e-5, 1_000
N_NEIGHBORS = 15
# Leiden's number of communities at it is nearest to that of the annotated regions: of mob (5), pdac_a (4), STARmap (4) and
# DLPFC (7) it finds 3, 4, 4 or 5, and 6. At 0.3 it is 4, 5, 5 to 7, 8, and the BIC asks for 10 to 12, of 12 tried.
RESOLUTION = 0.2
RESOLUTIONS, N_HALVINGS = (0.01, 8.0), 16


class Partition(NamedTuple):
    """Number of each point's cluster, ``(N,)``, and the resolution at which Leiden found how many, if it was asked."""

    clusters: np.ndarray
    resolution: float | None = None


def by_mixture(points: np.ndarray, n_clusters: int | None, seed: int) -> Partition:
    """The most probable components of a Gaussian mixture with one covariance, as many as Leiden's if not given."""
    resolution = None
    if n_clusters is None:
        found = by_leiden(points, None, seed)
        n_clusters, resolution = len(np.unique(found.clusters)), found.resolution
    kept = PCA(KEPT_VARIANCE, svd_solver="full").fit_transform(points)
    kept /= kept.std()  # what scikit-learn adds to the covariance has no scale
    fit = {"n_init": N_STARTS, "tol": TOLERANCE, "max_iter": MAX_ITERATIONS}
    mixture = GaussianMixture(n_clusters, covariance_type="tied", random_state=seed, **fit)
    return Partition(mixture.fit_predict(kept), resolution)


def by_leiden(points: np.ndarray, n_clusters: int | None, seed: int) -> Partition:
    """Leiden's communities of the graph of nearest points, at the resolution that has so many, if they are given."""
    if find_spec("igraph") is None:
        msg = (
            "Expected igraph for Leiden, which also says how many domains there are; it is not installed. Run: pip install "
            "igraph, or give n_domains and method='mixture'."
        )
        raise ImportError(msg)
    adata = AnnData(obsm={"X": points}, shape=(len(points), 0))
    sc.pp.neighbors(adata, use_rep="X", n_neighbors=N_NEIGHBORS, random_state=seed)
    if n_clusters is None:
        return _communities(adata, RESOLUTION, seed)
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


def _communities(adata: AnnData, resolution: float, seed: int) -> Partition:
    sc.tl.leiden(adata, resolution=resolution, flavor="igraph", directed=False, n_iterations=2, random_state=seed)
    return Partition(adata.obs["leiden"].cat.codes.to_numpy(), resolution)
