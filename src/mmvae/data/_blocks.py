"""Splits that keep neighbouring cells, or all cells of a group, together. N cells."""

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components, dijkstra

from ._split import checked_shares

BLOCK_CELLS = 30
# Of few cells there are smaller patches rather than too few to choose from.
FEW_BLOCKS, FEWEST_CELLS = 40, 5


def blocks_of(graph: sp.csr_matrix, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Patches of about 30 neighbouring cells, and the connected part of the graph that each cell is in.

    Parameters
    ----------
    graph
        Neighbours, symmetric, ``(n_cells, n_cells)``.
    seed
        Of the patches' centres.

    Returns
    -------
    Number of each cell's patch, that of its nearest centre, and of its part; each ``(n_cells,)``.
    """
    _, part = connected_components(graph, directed=False)
    shuffled = np.random.default_rng(seed).permutation(graph.shape[0])
    # One centre in each part at the least.
    first = shuffled[np.unique(part[shuffled], return_index=True)[1]]
    n_cells = graph.shape[0]
    centres = np.union1d(first, shuffled[: max(n_cells // BLOCK_CELLS, min(n_cells // FEWEST_CELLS, FEW_BLOCKS))])
    nearest = dijkstra(graph, indices=centres, unweighted=True, min_only=True, return_predecessors=True)[2]
    return nearest, part


def split_groups(
    groups: np.ndarray, strata: np.ndarray, train_size: float, validation_size: float | None, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Split cells so that those of a group stay together, in about the same shares within each stratum.

    A share that is less than half a group in every stratum gets one group.

    Parameters
    ----------
    groups
        Group of each cell, ``(n_cells,)``.
    strata
        Stratum of each cell, ``(n_cells,)``. A group is in one stratum.
    train_size, validation_size, seed
        As in :func:`split_cells`.

    Returns
    -------
    Indices of the training, validation and test cells, each ascending.

    Raises
    ------
    ValueError
        If the shares are not in range, or there are fewer groups than shares.
    """
    validation, test = checked_shares(train_size, validation_size)
    found = np.zeros(len(groups), dtype=int)
    generator = np.random.default_rng(seed)
    for stratum in np.unique(strata):
        cells = np.flatnonzero(strata == stratum)
        names, inverse, counts = np.unique(groups[cells], return_inverse=True, return_counts=True)
        order = generator.permutation(len(names))
        # A group goes where the middle of its cells falls along the shuffled groups.
        middle = np.empty(len(names))
        middle[order] = (np.cumsum(counts[order]) - counts[order] / 2) / len(cells)
        found[cells] = np.digitize(middle, [validation, validation + test])[inverse]
    wanted = np.array([validation, test, train_size]) > 0
    if missing := [k for k in range(3) if wanted[k] and not (found == k).any()]:
        _move_some(found, groups, missing, generator)
    return np.flatnonzero(found == 2), np.flatnonzero(found == 0), np.flatnonzero(found == 1)


def _move_some(found: np.ndarray, groups: np.ndarray, missing: list[int], generator: np.random.Generator) -> None:
    """Give each part that is ``missing`` one group of the part that has most."""
    for part in missing:
        largest = np.bincount(found).argmax()
        names = np.unique(groups[found == largest])
        if len(names) < 2:
            msg = (
                f"Expected groups enough to train, validate and test on; got {len(np.unique(groups))}. Split by something "
                "finer, or give train_size=1.0 to validate on none."
            )
            raise ValueError(msg)
        found[groups == generator.choice(names)] = part
