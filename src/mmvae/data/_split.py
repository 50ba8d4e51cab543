"""Training, validation and test cells: alike in what they have, or far from each other. N cells."""

import reprlib
from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components, dijkstra

from mmvae._checks import listed

BLOCK_CELLS = 30
# Of few cells there are smaller patches rather than too few to choose from.
FEW_BLOCKS, FEWEST_CELLS = 40, 5
GOLDEN = (5**0.5 - 1) / 2


def split_cells(
    strata: np.ndarray, train_size: float, validation_size: float | None, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Indices of training, validation and test cells, ascending, drawn within strata such as missing patterns by batch.

    ``train_size`` is the share to train on, in (0, 1], ``validation_size`` that to validate on, by default what remains.
    """
    validation, test = _checked_shares(train_size, validation_size)
    n_cells = len(strata)
    shuffled = np.random.default_rng(seed).permutation(n_cells)
    by_stratum = shuffled[np.argsort(strata[shuffled], kind="stable")]
    # Cells at even distances along the sorted order, by a sequence of low discrepancy, fall into each stratum in its share.
    position = (np.argsort(np.argsort(np.arange(n_cells) * GOLDEN % 1.0)) + 0.5) / n_cells
    parts = np.digitize(position, [validation, validation + test])
    return np.sort(by_stratum[parts == 2]), np.sort(by_stratum[parts == 0]), np.sort(by_stratum[parts == 1])


def split_in_order(
    n_cells: int, train_size: float, validation_size: float | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As :func:`split_cells`, but in scvi-tools' order: the first cells to validate on, then those to train on."""
    validation, test = _checked_shares(train_size, validation_size)
    first, last = round(validation * n_cells), n_cells - round(test * n_cells)
    cells = np.arange(n_cells)
    return cells[first:last], cells[:first], cells[last:]


def split_as_given(
    parts: Sequence[Sequence[int] | np.ndarray], n_cells: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Numbers of the training, validation and test cells, each ascending; the last take all cells that are in no part."""
    arrays = [np.asarray(part) for part in listed("external_indexing", parts)]
    if any(array.ndim != 1 or (array.size and array.dtype.kind not in "iu") for array in arrays):
        msg = f"Expected external_indexing as lists of numbers of cells, one for each part; got {reprlib.repr(parts)}."
        raise ValueError(msg)
    padded = [array.astype(np.int64) for array in [*arrays, *[np.array([])] * (3 - len(arrays))]]
    together = np.concatenate(padded)
    n_twice, n_none = len(together) - len(np.unique(together)), int(((together < 0) | (together >= n_cells)).sum())
    if len(padded) > 3 or len(padded[0]) == 0 or n_twice or n_none:
        msg = (
            f"Expected up to three lists of numbers of the {n_cells} cells, those to train, validate and test on, with "
            f"cells to train on and each cell once; got {len(parts)} lists of {[len(part) for part in parts]} cells, of "
            f"which {n_twice} are there twice and {n_none} are no cells."
        )
        raise ValueError(msg)
    train, validation, _ = map(np.sort, padded)
    return train, validation, np.setdiff1d(np.arange(n_cells), np.concatenate([train, validation]))


def split_groups(
    groups: np.ndarray, strata: np.ndarray, train_size: float, validation_size: float | None, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As :func:`split_cells`, but those of a group, in one stratum, stay together; a share gets one group at the least."""
    validation, test = _checked_shares(train_size, validation_size)
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
    for part in range(3):
        if wanted[part] and not (found == part).any():
            found[groups == generator.choice(_groups_to_spare(found, groups))] = part
    return np.flatnonzero(found == 2), np.flatnonzero(found == 0), np.flatnonzero(found == 1)


def blocks_of(graph: sp.csr_matrix, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Number of each cell's patch, and of the connected part of the graph that it is in, each ``(n_cells,)``.

    A patch is the about 30 cells of which its centre, drawn at random, is the nearest one, and is named by it.
    """
    _, part = connected_components(graph, directed=False)
    n_cells = graph.shape[0]
    shuffled = np.random.default_rng(seed).permutation(n_cells)
    # One centre in each part at the least.
    first = shuffled[np.unique(part[shuffled], return_index=True)[1]]
    centres = np.union1d(first, shuffled[: max(n_cells // BLOCK_CELLS, min(n_cells // FEWEST_CELLS, FEW_BLOCKS))])
    nearest = dijkstra(graph, indices=centres, unweighted=True, min_only=True, return_predecessors=True)[2]
    return nearest, part


def _groups_to_spare(found: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Groups of the part that has most cells, among the parts that have several groups."""
    for part in np.argsort(-np.bincount(found), kind="stable"):
        names = np.unique(groups[found == part])
        if len(names) > 1:
            return names
    msg = (
        f"Expected groups enough to train, validate and test on; got {len(np.unique(groups))}. Split by something "
        "finer, or give train_size=1.0 to validate on none."
    )
    raise ValueError(msg)


def _checked_shares(train_size: float, validation_size: float | None) -> tuple[float, float]:
    """Shares of the cells to validate and to test on."""
    validation = 1 - train_size if validation_size is None else validation_size
    if not 0 < train_size <= 1 or validation < 0 or train_size + validation > 1 + 1e-9:
        got = f"{train_size} and {validation_size}"
        msg = f"Expected train_size in (0, 1] and train_size + validation_size <= 1; got {got}."
        raise ValueError(msg)
    # Rounding may leave a test share just below 0, which would turn the parts around.
    return validation, max(0.0, round(1 - train_size - validation, 9))
