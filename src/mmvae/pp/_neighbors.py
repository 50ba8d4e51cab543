"""Which spots are neighbours. N spots."""

import numpy as np
import scipy.sparse as sp
from scipy.spatial import cKDTree

# On a lattice, even one whose places were measured, distances to the nearest neighbour are much the same; of cells that
# lie where they please the largest tenth is several times the smallest.
LATTICE_SPREAD = 1.4
# How much further than a ring of neighbours the next one is: 1.4 times and more on squares, 1.7 and then 1.15 on hexagons.
RING_GAP = 1.12
FIRST_RING = 6


def spot_graph(
    coordinates: np.ndarray, slides: np.ndarray, n_neighbors: int, radius: float | None
) -> tuple[sp.csr_matrix, sp.csr_matrix]:
    """Neighbours as :func:`mmvae.pp.spatial` says: connectivities, 1 each, and distances, ``(N, N)``."""
    order = np.argsort(slides, kind="stable")
    pairs = [np.empty((0, 2), dtype=int)]
    for members in np.split(order, np.flatnonzero(np.diff(slides[order])) + 1):
        pairs.append(members[_pairs(coordinates[members], n_neighbors, radius)])
    edges = np.concatenate(pairs)
    lengths = np.linalg.norm(coordinates[edges[:, 0]] - coordinates[edges[:, 1]], axis=1).astype(np.float32)
    rows, columns = np.concatenate([edges, edges[:, ::-1]]).T
    shape = (len(slides), len(slides))
    distances = sp.csr_matrix((np.tile(lengths, 2), (rows, columns)), shape=shape)
    return sp.csr_matrix((np.ones_like(rows, dtype=np.float32), (rows, columns)), shape=shape), distances


def _pairs(coordinates: np.ndarray, n_neighbors: int, radius: float | None) -> np.ndarray:
    """Pairs of neighbours on one slide, each once, the smaller number first, ``(n_pairs, 2)``."""
    k = min(n_neighbors, len(coordinates) - 1)
    if k < 1:
        return np.empty((0, 2), dtype=int)
    tree = cKDTree(coordinates)
    if radius is not None:
        return tree.query_pairs(radius, output_type="ndarray")
    distances, nearest = tree.query(coordinates, min(max(k, FIRST_RING) + 2, len(coordinates)))
    low, high = np.quantile(distances[:, 1], [0.1, 0.9])
    if high <= LATTICE_SPREAD * low:
        return tree.query_pairs(_ring_radius(np.quantile(distances[:, 1:], 0.1, axis=0), k), output_type="ndarray")
    nearest = nearest[:, : k + 1]
    # A spot's own place is among its nearest, if not first.
    ends = np.stack([np.repeat(np.arange(len(nearest)), k + 1), nearest.ravel()], axis=1)
    return np.unique(np.sort(ends[ends[:, 0] != ends[:, 1]], axis=1), axis=0)


def _ring_radius(distances: np.ndarray, n_neighbors: int) -> float:
    """Distance between the last whole ring within ``n_neighbors`` and the next; of ``distances`` to the nearest."""
    last = np.flatnonzero(distances[1:] > RING_GAP * distances[:-1])
    if not len(last):
        return float(distances[-1] * RING_GAP)
    inside = last[last < n_neighbors]
    ring = inside[-1] if len(inside) else last[0]
    return float(np.sqrt(distances[ring] * distances[ring + 1]))
