"""What is true of simulated cells, and how their modalities are measured. C cells, F features, 5 + 3 factors."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.random import Generator
from scipy.spatial import KDTree
from scipy.special import expit, softmax

# Counts and expected relative rates, (C, F).
Drawn: TypeAlias = tuple[np.ndarray, np.ndarray]
# These of all cells, and private factors, (C, 3).
Measured: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray]

N_SHARED = 5
N_PRIVATE = 3
CLUSTER_SPREAD = 0.45
MIXED_FRACTION = 0.1
SLIDE_GAP = 5.0
N_HIDDEN = 48
LOADING_DENSITY = 0.15
SIGNAL = 0.9
DEPTH_SPREAD = 0.4
RNA_DISPERSION = 5.0
PROTEIN_DISPERSION = 8.0
BACKGROUND = 15.0
SWITCH = 4.0


@dataclass(frozen=True)
class Cells:
    """Cluster, batch, place on the trajectory or NaN, shared factors, ``(C, 5)``, and positions, ``(C, 2)``."""

    cluster: np.ndarray
    batch: np.ndarray
    trajectory: np.ndarray
    shared: np.ndarray
    position: np.ndarray | None


def draw_cells(rng: Generator, n_cells: int, *, n_clusters: int, n_batches: int, spatial: bool) -> Cells:
    """Draw clusters, batches, trajectory, shared factors and, if ``spatial``, positions of the cells."""
    for_batch, for_position, for_cluster, for_factors = rng.spawn(4)
    batch = _draw_labels(for_batch, n_cells, n_batches)
    position = _lay_out(for_position, batch) if spatial else None
    if position is None:
        cluster = _draw_labels(for_cluster, n_cells, n_clusters)
    else:
        cluster = _draw_domains(for_cluster, position, batch, n_clusters)
    on_trajectory = cluster < (n_clusters + 1) // 2
    trajectory = np.where(on_trajectory, for_factors.uniform(size=n_cells), np.nan)
    centres = for_factors.normal(size=(n_clusters, N_SHARED))
    direction = for_factors.normal(size=N_SHARED)
    noise = for_factors.normal(0.0, CLUSTER_SPREAD, (n_cells, N_SHARED))
    shared = _standardise(centres[cluster] + np.nan_to_num(trajectory)[:, None] * direction + noise)
    return Cells(cluster, batch, trajectory, shared, position)


def draw_states(rng: Generator, n_cells: int) -> np.ndarray:
    """Private factors with three discrete states, standardised, ``(C, 3)``."""
    centres = rng.normal(0.0, 1.2, (3, N_PRIVATE))
    state = rng.integers(3, size=n_cells)
    return _standardise(centres[state] + rng.normal(0.0, 0.3, (n_cells, N_PRIVATE)))


def draw_ring(rng: Generator, n_cells: int) -> np.ndarray:
    """Private factors on a ring, such as a cycle, with one dimension of noise, standardised, ``(C, 3)``."""
    angle = rng.uniform(0.0, 2.0 * np.pi, n_cells)
    return _standardise(np.stack([np.cos(angle), np.sin(angle), rng.normal(size=n_cells)], axis=1))


def draw_gradient(rng: Generator, n_cells: int) -> np.ndarray:
    """Private factors along a bent gradient, with one dimension of noise, standardised, ``(C, 3)``."""
    level = rng.uniform(-1.0, 1.0, n_cells)
    bend = level**2 + rng.normal(0.0, 0.1, n_cells)
    return _standardise(np.stack([level, bend, rng.normal(size=n_cells)], axis=1))


def _standardise(values: np.ndarray) -> np.ndarray:
    return (values - values.mean(axis=0)) / values.std(axis=0)


def _draw_labels(rng: Generator, n_cells: int, n_labels: int) -> np.ndarray:
    """Random labels, each of which occurs at least once."""
    free = rng.integers(n_labels, size=n_cells - n_labels)
    return rng.permutation(np.concatenate([np.arange(n_labels), free]))


def _lay_out(rng: Generator, batch: np.ndarray) -> np.ndarray:
    """Put each batch on a nearly square hexagonal grid of its own, side by side with a gap, ``(C, 2)``."""
    position = np.empty((len(batch), 2))
    left = 0.0
    for slide in range(batch.max() + 1):
        cells = np.flatnonzero(batch == slide)
        row, column = np.divmod(np.arange(len(cells)), int(np.ceil(np.sqrt(len(cells)))))
        grid = np.stack([left + column + 0.5 * (row % 2), row * np.sqrt(0.75)], axis=1)
        position[rng.permutation(cells)] = grid
        left = grid[:, 0].max() + SLIDE_GAP
    return position


def _draw_domains(rng: Generator, position: np.ndarray, batch: np.ndarray, n_clusters: int) -> np.ndarray:
    """Label the cells of each slide by Voronoi regions around random ones, then let a tenth of them swap places."""
    cluster = np.empty(len(batch), dtype=np.int64)
    for slide in range(batch.max() + 1):
        cells = np.flatnonzero(batch == slide)
        n_regions = min(n_clusters, len(cells))
        seeds = rng.choice(cells, n_regions, replace=False)
        label = rng.permutation(n_clusters)[:n_regions]
        cluster[cells] = label[KDTree(position[seeds]).query(position[cells])[1]]
    mixed = np.flatnonzero(rng.random(len(batch)) < MIXED_FRACTION)
    cluster[mixed] = cluster[rng.permutation(mixed)]
    return cluster


@dataclass(frozen=True)
class Kind:
    """How one modality comes about."""

    feature: str
    n_features: int
    depth: float
    baseline_spread: float
    sparse: bool
    draw_private: Callable[[Generator, int], np.ndarray]
    count: Callable[[Generator, np.ndarray, np.ndarray, np.ndarray], Drawn]


def measure(rng: Generator, kind: Kind, cells: Cells, n_features: int, batch_strength: float) -> Measured:
    """Draw one modality of all cells: its private factors, then its counts."""
    for_private, for_scores, for_shift, for_size, for_counts = rng.spawn(5)
    n_cells = len(cells.batch)
    private = kind.draw_private(for_private, n_cells)
    scores = _draw_scores(for_scores, np.hstack([cells.shared, private]), n_features, kind.baseline_spread)
    shift = for_shift.normal(0.0, batch_strength, (cells.batch.max() + 1, n_features))[cells.batch]
    size = kind.depth * for_size.lognormal(-0.5 * DEPTH_SPREAD**2, DEPTH_SPREAD, (n_cells, 1))
    counts, rates = kind.count(for_counts, softmax(scores, axis=1), size * softmax(scores + shift, axis=1), shift)
    return counts, rates, private


def _draw_scores(rng: Generator, factors: np.ndarray, n_features: int, baseline_spread: float) -> np.ndarray:
    """Log rates up to a constant per cell, ``(C, F)``."""
    n_factors = factors.shape[1]
    inner = rng.normal(0.0, 1.5 / np.sqrt(n_factors), (n_factors, N_HIDDEN))
    basis = np.hstack([np.tanh(factors @ inner), factors])
    shape = (basis.shape[1], n_features)
    loadings = rng.normal(size=shape) * (rng.random(shape) < LOADING_DENSITY)
    scale = SIGNAL / np.sqrt(LOADING_DENSITY * basis.shape[1])
    return basis @ loadings * scale + rng.normal(0.0, baseline_spread, n_features)


def _draw_counts(rng: Generator, means: np.ndarray, dispersion: float) -> np.ndarray:
    r"""Negative binomial counts, of variance :math:`\mu + \mu^2 / \theta`."""
    return rng.poisson(rng.gamma(dispersion, means / dispersion))


def _count_genes(rng: Generator, rates: np.ndarray, means: np.ndarray, shift: np.ndarray) -> Drawn:
    return _draw_counts(rng, means, RNA_DISPERSION), rates


def _count_fragments(rng: Generator, rates: np.ndarray, means: np.ndarray, shift: np.ndarray) -> Drawn:
    return rng.poisson(means), rates


def _count_proteins(rng: Generator, rates: np.ndarray, means: np.ndarray, shift: np.ndarray) -> Drawn:
    chance = expit(SWITCH * np.log(rates / np.median(rates, axis=0)))
    background = BACKGROUND * np.exp(rng.normal(0.0, 0.5, rates.shape[1]) + shift)
    foreground = means * (rng.random(rates.shape) < chance)
    expected = chance * rates
    counts = _draw_counts(rng, background + foreground, PROTEIN_DISPERSION)
    return counts, expected / expected.sum(axis=1, keepdims=True)


KINDS: dict[str, Kind] = {
    "rna": Kind("gene", 300, 1600.0, 1.0, True, draw_states, _count_genes),
    "atac": Kind("peak", 800, 320.0, 0.7, True, draw_ring, _count_fragments),
    "protein": Kind("protein", 30, 6000.0, 0.5, False, draw_gradient, _count_proteins),
}
