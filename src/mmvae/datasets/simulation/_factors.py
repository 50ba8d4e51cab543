"""What is true of simulated cells: C cells, K clusters, B batches, 5 shared and 3 private factors."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from scipy.spatial import KDTree

N_SHARED = 5
N_PRIVATE = 3
CLUSTER_SPREAD = 0.45
MIXED_FRACTION = 0.1
SLIDE_GAP = 5.0


@dataclass(frozen=True)
class Cells:
    """Cluster, batch and place on the trajectory (NaN off it), each ``(C,)``; shared factors, ``(C, 5)``.

    Positions, ``(C, 2)``, are in distances between neighbours; dissociated cells have none.
    """

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
