"""Which spots of a slide are neighbours. N spots, S slides."""

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from scipy.spatial import cKDTree

from mmvae.data import reach

# Of the nearest distances on a lattice, even one whose places were measured, the largest tenth is at most 1.2 times the
# smallest; of cells that lie where they please 1.4 times and more.
LATTICE_SPREAD = 1.4
# Cells that are packed have nearest distances as even as a lattice's, but no empty space around the first ring: of the
# neighbours within 1.35 pitches it holds a third or more, on a lattice that is jittered by a twentieth of its pitch under a quarter.
EMPTY, MOST_IN_EMPTY = (1.15, 1.35), 0.3
# How much further than a ring of neighbours the next one is: 1.4 times and more on squares, 1.7 and then 1.15 on hexagons.
RING_GAP = 1.12
FIRST_RING, FREE_NEIGHBORS = 6, 30
# Cells in rounded places are at equal distances: so many more than asked for are taken along.
MOST_TIES = 8


class SpotGraph(NamedTuple):
    """Connectivities, 1 each, and distances, ``(N, N)``, and whether the places were taken for those of a lattice."""

    connectivities: sp.csr_matrix
    distances: sp.csr_matrix
    on_lattice: bool


def spot_graph(
    places: np.ndarray, slides: np.ndarray, n_neighbors: int | None, radius: float | None, n_rings: int
) -> SpotGraph:
    """Neighbours as :func:`mmvae.pp.spatial` says."""
    order = np.argsort(slides, kind="stable")
    by_slide = np.split(order, np.flatnonzero(np.diff(slides[order])) + 1)
    # One answer for all slides, which come from one instrument: a small or torn one alone may look like the other kind.
    on_lattice = 2 * sum(len(members) for members in by_slide if is_lattice(places[members])) > len(slides)
    pairs = [np.empty((0, 2), dtype=int)]
    for members in by_slide:
        pairs.append(members[_pairs(places[members], n_neighbors, radius, on_lattice)])
    graph = _symmetric(np.concatenate(pairs), len(slides))
    if n_rings > 1:
        graph = reach(graph, n_rings)
    ends = sp.coo_matrix(graph)
    lengths = np.linalg.norm(places[ends.row] - places[ends.col], axis=1).astype(np.float32)
    return SpotGraph(graph, sp.csr_matrix((lengths, (ends.row, ends.col)), shape=graph.shape), on_lattice)


def is_lattice(places: np.ndarray) -> bool:
    """Whether the places of a slide's spots are those of a lattice."""
    places = np.unique(places, axis=0)
    if len(places) < 2:
        return False
    distances, _ = cKDTree(places).query(places, min(FIRST_RING + 3, len(places)))
    low, pitch, high = np.quantile(distances[:, 1], [0.1, 0.5, 0.9])
    near = distances[:, 1:] / pitch
    in_empty = (near > EMPTY[0]) & (near < EMPTY[1])
    return bool(high <= LATTICE_SPREAD * low and in_empty.sum() <= MOST_IN_EMPTY * (near < EMPTY[1]).sum())


def _symmetric(pairs: np.ndarray, n_spots: int) -> sp.csr_matrix:
    """The graph with an edge of weight 1 in either direction for each pair."""
    rows, columns = np.concatenate([pairs, pairs[:, ::-1]]).T
    return sp.csr_matrix((np.ones(len(rows), dtype=np.float32), (rows, columns)), shape=(n_spots, n_spots))


def _pairs(places: np.ndarray, n_neighbors: int | None, radius: float | None, on_lattice: bool) -> np.ndarray:
    """Pairs of neighbours on one slide, each once, the smaller number first, ``(n_pairs, 2)``."""
    if len(places) < 2:
        return np.empty((0, 2), dtype=int)
    tree = cKDTree(places)
    if radius is not None:
        return tree.query_pairs(radius, output_type="ndarray")
    if on_lattice:
        return tree.query_pairs(_ring_radius(places, n_neighbors or FIRST_RING), output_type="ndarray")
    return _nearest(tree, places, min(n_neighbors or FREE_NEIGHBORS, len(places) - 1))


def _nearest(tree: cKDTree, places: np.ndarray, k: int) -> np.ndarray:
    """Pairs of which one is among the other's ``k`` nearest, or as near as the last of them."""
    distances, nearest = tree.query(places, min(k + 1 + MOST_TIES, len(places)))
    # A spot is itself among its nearest, if not first.
    rows, columns = np.nonzero(distances <= distances[:, [k]])
    ends = np.stack([rows, nearest[rows, columns]], axis=1)
    return np.unique(np.sort(ends[ends[:, 0] != ends[:, 1]], axis=1), axis=0)


def _ring_radius(places: np.ndarray, n_neighbors: int) -> float:
    """Distance between the last whole ring within ``n_neighbors`` and the next."""
    places = np.unique(places, axis=0)
    k = min(n_neighbors, len(places) - 1)
    every, _ = cKDTree(places).query(places, min(max(k, FIRST_RING) + 2, len(places)))
    distances = np.quantile(every[:, 1:], 0.1, axis=0)
    last = np.flatnonzero(distances[1:] > RING_GAP * distances[:-1])
    if not len(last):
        return float(distances[-1] * RING_GAP)
    inside = last[last < k]
    ring = inside[-1] if len(inside) else last[0]
    return float(np.sqrt(distances[ring] * distances[ring + 1]))
