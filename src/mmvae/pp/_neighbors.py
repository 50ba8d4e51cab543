"""Which spots are neighbours. N spots."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp
from scipy.spatial import cKDTree

if TYPE_CHECKING:
    from collections.abc import Iterator

# On a lattice, even one whose places were measured, distances to the nearest neighbour are much the same; of cells that
# lie where they please the largest tenth is several times the smallest.
LATTICE_SPREAD = 1.4
# What counts as the distance of an inner spot to its k-th neighbour. The next ones are 1.4 times as far on squares, and
# 1.7 times on hexagons.
TOLERANCE = 1.2


def spot_graph(
    coordinates: np.ndarray, slides: np.ndarray, n_neighbors: int, radius: float | None
) -> tuple[sp.csr_matrix, sp.csr_matrix]:
    """Neighbours within each slide: connectivities, 1 for a neighbour, and distances; symmetric, ``(n_spots, n_spots)``.

    Parameters
    ----------
    coordinates
        Places, ``(n_spots, 2)`` or ``(n_spots, 3)``.
    slides
        Number of each spot's slide, ``(n_spots,)``.
    n_neighbors
        Neighbours of a spot. On a lattice all spots as near as the ``n_neighbors``-th nearest of a spot inside count, so
        that spots at the border have fewer, and those on a square lattice 4 or 8; elsewhere the nearest ones, and a spot
        that is among another's nearest is its neighbour, too.
    radius
        Take all spots within this distance instead, in the unit of the coordinates.
    """
    pairs = [
        members[own]
        for members in _members(slides)
        for own in [_pairs(coordinates[members], n_neighbors, radius)]
        if len(own)
    ]
    edges = np.concatenate(pairs) if pairs else np.empty((0, 2), dtype=int)
    lengths = np.linalg.norm(coordinates[edges[:, 0]] - coordinates[edges[:, 1]], axis=1)
    return _symmetric(edges, np.ones(len(edges)), len(slides)), _symmetric(edges, lengths, len(slides))


def _members(slides: np.ndarray) -> Iterator[np.ndarray]:
    order = np.argsort(slides, kind="stable")
    yield from np.split(order, np.flatnonzero(np.diff(slides[order])) + 1)


def _pairs(coordinates: np.ndarray, n_neighbors: int, radius: float | None) -> np.ndarray:
    """Pairs of neighbours on one slide, each once, the smaller number first, ``(n_pairs, 2)``."""
    k = min(n_neighbors, len(coordinates) - 1)
    if k < 1:
        return np.empty((0, 2), dtype=int)
    tree = cKDTree(coordinates)
    if radius is not None:
        return tree.query_pairs(radius, output_type="ndarray")
    distances, nearest = tree.query(coordinates, k + 1)
    low, high = np.quantile(distances[:, 1], [0.1, 0.9])
    if high <= LATTICE_SPREAD * low:
        inside = np.quantile(distances[:, k], 0.1)
        return tree.query_pairs(TOLERANCE * inside, output_type="ndarray")
    # A spot's own place is among its nearest, if not first.
    ends = np.stack([np.repeat(np.arange(len(nearest)), k + 1), nearest.ravel()], axis=1)
    return np.unique(np.sort(ends[ends[:, 0] != ends[:, 1]], axis=1), axis=0)


def _symmetric(edges: np.ndarray, values: np.ndarray, n_spots: int) -> sp.csr_matrix:
    rows, columns = np.concatenate([edges, edges[:, ::-1]]).T
    both = np.concatenate([values, values]).astype(np.float32)
    return sp.csr_matrix((both, (rows, columns)), shape=(n_spots, n_spots))
