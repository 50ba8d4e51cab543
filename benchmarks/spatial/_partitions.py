"""Clusters at the true number of regions, as studies of tissue domains score them. N spots, D dimensions, K regions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.mixture import GaussianMixture

from ._regions import known_regions

if TYPE_CHECKING:
    from anndata import AnnData

STARTS = 5
# As mmvae.tl.domains: one covariance undoes the scale of dimensions, and those that hold nothing would count as any.
KEPT_VARIANCE = 0.995
SCORES = {"ari": adjusted_rand_score, "nmi": normalized_mutual_info_score}


def kmeans(points: np.ndarray, n_clusters: int, seed: int) -> list[np.ndarray]:
    """The best of five k-means clusterings."""
    return [KMeans(n_clusters, n_init=STARTS, random_state=seed).fit_predict(points)]


def mixture(points: np.ndarray, n_clusters: int, seed: int) -> list[np.ndarray]:
    """Components of a Gaussian mixture with one covariance, as EM finds them from each of five starts.

    Of the principal components with 99.5% of the variance.
    The likeliest is often not the one that is nearest to the regions, so that one start is a draw of a lottery.
    """
    kept = PCA(KEPT_VARIANCE, svd_solver="full").fit_transform(points.astype(np.float64))
    fits = (
        GaussianMixture(n_clusters, covariance_type="tied", random_state=STARTS * seed + start)
        for start in range(STARTS)
    )
    return [fit.fit_predict(kept) for fit in fits]


CLUSTERS = {"kmeans": kmeans, "mixture": mixture}


def partition_scores(embedding: np.ndarray, adata: AnnData, seed: int, *, together: bool = True) -> dict[str, float]:
    """ARI and NMI of k-means and of tied Gaussian mixtures at the true number of regions.

    Scores are those of each section, named after it, and their mean over sections. ``joint_...`` are of clusters of all
    sections' spots, made only ``together``; ``each_...`` of clusters of each section's spots by themselves. Spots
    without a region are in neither.
    """
    labels, known, sections = known_regions(adata)
    points, labels, sections = embedding[known], labels[known], sections[known]
    inside = {section: sections == section for section in np.unique(sections)}
    # One region only is no question to clusters.
    inside = {section: rows for section, rows in inside.items() if len(np.unique(labels[rows])) > 1}
    scores: dict[str, float] = {}
    for name, cluster in CLUSTERS.items():
        each = {s: cluster(points[rows], len(np.unique(labels[rows])), seed) for s, rows in inside.items()}
        scores |= _scores(f"each_{name}", labels, inside, each)
        if together:
            found = cluster(points, len(np.unique(labels)), seed)
            joint = {s: [clusters[rows] for clusters in found] for s, rows in inside.items()}
            scores |= _scores(f"joint_{name}", labels, inside, joint)
    return scores


def _scores(
    name: str, labels: np.ndarray, inside: dict[str, np.ndarray], found: dict[str, list[np.ndarray]]
) -> dict[str, float]:
    """Scores of each section, means over its partitions, and their means over sections."""
    scores = {}
    for metric, score in SCORES.items():
        values = {s: float(np.mean([score(labels[rows], c) for c in found[s]])) for s, rows in inside.items()}
        scores[f"{name}_{metric}"] = float(np.mean(list(values.values())))
        scores |= {f"{name}_{metric}:{section}": value for section, value in values.items() if len(values) > 1}
    return scores
