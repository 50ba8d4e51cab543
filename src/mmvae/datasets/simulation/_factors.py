"""What is true of simulated cells: C cells, K clusters, B batches, 5 shared and 3 private factors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from scipy.spatial import KDTree

from mmvae.datasets._typing import Floats, Labels

N_SHARED = 5
N_PRIVATE = 3
CLUSTER_SPREAD = 0.45
MIXED_FRACTION = 0.1
SLIDE_GAP = 5.0


@dataclass(frozen=True)
class Cells:
    """The truth about each cell, whatever was measured of it.

    Parameters
    ----------
    cluster
        Cluster of each cell, shape ``(n_cells,)``.
    batch
        Batch of each cell, shape ``(n_cells,)``.
    trajectory
        Position along the trajectory in [0, 1], NaN outside of it, shape ``(n_cells,)``.
    shared
        Standardised shared factors, shape ``(n_cells, 5)``.
    position
        Coordinates, shape ``(n_cells, 2)``, in distances between neighbours; ``None`` for dissociated cells.
    """

    cluster: Labels
    batch: Labels
    trajectory: Floats
    shared: Floats
    position: Floats | None


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
    shared = _draw_shared(for_factors, cluster, trajectory, n_clusters)
    return Cells(cluster, batch, trajectory, shared, position)


def draw_states(rng: Generator, n_cells: int) -> Floats:
    """Private factors with three discrete states, standardised, shape ``(n_cells, 3)``."""
    centres = rng.normal(0.0, 1.2, (3, N_PRIVATE))
    state = rng.integers(3, size=n_cells)
    return _standardise(centres[state] + rng.normal(0.0, 0.3, (n_cells, N_PRIVATE)))


def draw_ring(rng: Generator, n_cells: int) -> Floats:
    """Private factors on a ring, such as a cycle, with one dimension of noise, standardised, ``(n_cells, 3)``."""
    angle = rng.uniform(0.0, 2.0 * np.pi, n_cells)
    return _standardise(np.stack([np.cos(angle), np.sin(angle), rng.normal(size=n_cells)], axis=1))


def draw_gradient(rng: Generator, n_cells: int) -> Floats:
    """Private factors along a bent gradient, with one dimension of noise, standardised, ``(n_cells, 3)``."""
    level = rng.uniform(-1.0, 1.0, n_cells)
    bend = level**2 + rng.normal(0.0, 0.1, n_cells)
    return _standardise(np.stack([level, bend, rng.normal(size=n_cells)], axis=1))


def _draw_shared(rng: Generator, cluster: Labels, trajectory: Floats, n_clusters: int) -> Floats:
    centres = rng.normal(size=(n_clusters, N_SHARED))
    direction = rng.normal(size=N_SHARED)
    noise = rng.normal(0.0, CLUSTER_SPREAD, (len(cluster), N_SHARED))
    return _standardise(centres[cluster] + np.nan_to_num(trajectory)[:, None] * direction + noise)


def _standardise(values: Floats) -> Floats:
    return (values - values.mean(axis=0)) / values.std(axis=0)


def _draw_labels(rng: Generator, n_cells: int, n_labels: int) -> Labels:
    """Random labels, each of which occurs at least once."""
    free = rng.integers(n_labels, size=n_cells - n_labels)
    return rng.permutation(np.concatenate([np.arange(n_labels), free]))


def _lay_out(rng: Generator, batch: Labels) -> Floats:
    """Put each batch on a slide of its own, slides side by side with a gap, shape ``(n_cells, 2)``."""
    position = np.empty((len(batch), 2))
    left = 0.0
    for slide in range(batch.max() + 1):
        cells = np.flatnonzero(batch == slide)
        grid = _hexagonal_grid(len(cells))
        grid[:, 0] += left
        position[rng.permutation(cells)] = grid
        left = grid[:, 0].max() + SLIDE_GAP
    return position


def _hexagonal_grid(n_spots: int) -> Floats:
    """Spots at distance 1 from up to six neighbours, in a nearly square field, shape ``(n_spots, 2)``."""
    row, column = np.divmod(np.arange(n_spots), int(np.ceil(np.sqrt(n_spots))))
    return np.stack([column + 0.5 * (row % 2), row * np.sqrt(0.75)], axis=1)


def _draw_domains(rng: Generator, position: Floats, batch: Labels, n_clusters: int) -> Labels:
    """Label the cells by spatial domain, then let a tenth of them swap places."""
    cluster = np.empty(len(batch), dtype=np.int64)
    for slide in range(batch.max() + 1):
        cells = batch == slide
        cluster[cells] = _draw_regions(rng, position[cells], n_clusters)
    mixed = np.flatnonzero(rng.random(len(batch)) < MIXED_FRACTION)
    cluster[mixed] = cluster[rng.permutation(mixed)]
    return cluster


def _draw_regions(rng: Generator, position: Floats, n_regions: int) -> Labels:
    """Voronoi regions around random cells of one slide, one region per label, shape ``(n_cells,)``."""
    n_seeds = min(n_regions, len(position))
    seeds = rng.choice(len(position), n_seeds, replace=False)
    label = rng.permutation(n_regions)[:n_seeds]
    return label[KDTree(position[seeds]).query(position)[1]]
