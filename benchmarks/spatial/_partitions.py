"""Clusters at the true number of regions, as studies of tissue domains score them. N spots, D dimensions, K regions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.mixture import GaussianMixture

from ._regions import known_regions

if TYPE_CHECKING:
    from anndata import AnnData

STARTS = 10
SCORES = {"ari": adjusted_rand_score, "nmi": normalized_mutual_info_score}


def kmeans(points: np.ndarray, n_clusters: int, seed: int) -> np.ndarray:
    """The best of ten k-means clusterings."""
    return KMeans(n_clusters, n_init=STARTS, random_state=seed).fit_predict(points)


def mixture(points: np.ndarray, n_clusters: int, seed: int) -> np.ndarray:
    """The likeliest of ten Gaussian mixtures whose components have one covariance."""
    found = GaussianMixture(n_clusters, covariance_type="tied", n_init=STARTS, random_state=seed)
    return found.fit_predict(points.astype(np.float64))


CLUSTERS = {"kmeans": kmeans, "mixture": mixture}


def partition_scores(embedding: np.ndarray, adata: AnnData, seed: int, *, together: bool = True) -> dict[str, float]:
    """ARI and NMI of k-means and of a tied Gaussian mixture at the true number of regions.

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
        scores |= _scores(f"each_{name}", {s: (labels[rows], each[s]) for s, rows in inside.items()})
        if together:
            found = cluster(points, len(np.unique(labels)), seed)
            scores |= _scores(f"joint_{name}", {s: (labels[rows], found[rows]) for s, rows in inside.items()})
    return scores


def _scores(name: str, pairs: dict[str, tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
    """Scores of truth and clusters of each section, and their means."""
    scores = {}
    for metric, score in SCORES.items():
        values = {section: float(score(*pair)) for section, pair in pairs.items()}
        scores[f"{name}_{metric}"] = float(np.mean(list(values.values())))
        scores |= {f"{name}_{metric}:{section}": value for section, value in values.items() if len(values) > 1}
    return scores
