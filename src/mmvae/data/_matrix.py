"""Reading matrices block by block, whatever they are stored as. N rows, G columns."""

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any, TypeAlias, TypeGuard

import h5py
import numpy as np
import scipy.sparse as sp
import zarr
from anndata import AnnData
from anndata.abc import CSCDataset, CSRDataset

# Whatever `is_supported` accepts, and rows of it in memory.
Matrix: TypeAlias = np.ndarray | sp.csr_matrix | sp.csc_matrix | h5py.Dataset | zarr.Array | CSRDataset | CSCDataset
Block: TypeAlias = np.ndarray | sp.csr_matrix

# Values that one block may hold, stored ones where the matrix is sparse: a pass over it takes 80 bytes for each.
BLOCK_VALUES = 250_000
HAS_ANNBATCH = find_spec("annbatch") is not None
# Rows between two that are wanted which a file is read on for: a chunk that holds both is then decoded once.
GAP = 64
# Rows of a file that are read at a time, so that what lies between wanted ones takes little memory.
SPAN = 512
is_sparse: Callable[[object], TypeGuard[sp.csr_matrix]] = sp.issparse


def values_of(adata: AnnData, layer: str | None) -> Matrix:
    """The matrix of ``layer``, of X where it is ``None``."""
    return adata.X if layer is None else adata.layers[layer]


def is_supported(matrix: object) -> bool:
    """Whether mmvae can read this matrix: real numbers in numpy, CSR or CSC, in memory or in an HDF5 or Zarr file."""
    if np.dtype(getattr(matrix, "dtype", object)).kind not in "buif":
        return False
    if is_sparse(matrix):
        return matrix.format in ("csr", "csc")
    is_array = isinstance(matrix, np.ndarray) and not isinstance(matrix, np.ma.MaskedArray)
    return is_array or is_on_disk(matrix)


def is_on_disk(matrix: object) -> bool:
    """Whether a matrix is one of those in files that mmvae reads."""
    return isinstance(matrix, h5py.Dataset | zarr.Array | CSRDataset | CSCDataset)


def by_rows(matrix: Matrix) -> Matrix:
    """The same matrix in a form whose rows are quick to take: CSC becomes CSR, the rest stays."""
    if isinstance(matrix, CSCDataset):
        return _turned(matrix)
    return matrix.tocsr() if is_sparse(matrix) and matrix.format == "csc" else matrix


def is_same(one: Matrix, other: Matrix) -> bool:
    """Whether two are one matrix: anndata makes a new object of one in a file whenever it is asked for it."""
    if isinstance(one, CSCDataset) and isinstance(other, CSCDataset):
        return one.group == other.group
    return one is other


def _turned(matrix: CSCDataset) -> sp.csr_matrix:
    """A matrix in a file by rows, read by blocks of columns, so that it is in memory no more than once."""
    (n_rows, n_columns), stored = matrix.shape, matrix.group["indices"]
    n_stored, step = stored.shape[0], max(BLOCK_VALUES, n_rows)
    counts = np.zeros(n_rows, dtype=np.int64)
    for start in range(0, n_stored, step):
        counts += np.bincount(stored[start : start + step], minlength=n_rows)
    starts = np.concatenate([[0], np.cumsum(counts)])
    values, columns, free = np.empty(n_stored, matrix.dtype), np.empty(n_stored, np.int32), starts[:-1].copy()
    width = max(1, n_columns * step // max(n_stored, 1))
    for start in range(0, n_columns, width):
        block = matrix[:, start : start + width].tocsr()
        counts = np.diff(block.indptr)
        places = np.arange(block.nnz) + np.repeat(free - block.indptr[:-1], counts)
        values[places], columns[places] = block.data, block.indices + start
        free += counts
    return sp.csr_matrix((values, columns, starts), shape=matrix.shape)


def take(matrix: Matrix, rows: np.ndarray) -> Block:
    """Rows of a matrix from :func:`by_rows`, in the order given."""
    if not is_on_disk(matrix):
        return matrix[rows]
    ascending, place = np.unique(rows, return_inverse=True)
    return take_ascending(matrix, ascending)[place]


def take_ascending(matrix: Matrix, rows: np.ndarray) -> Block:
    """Rows of a matrix in a file, in ascending order, each once; read in ranges, by annbatch where it can and is there."""
    ends = (np.diff(rows) > GAP) | (np.diff(rows // SPAN) > 0)
    runs = np.split(rows, np.flatnonzero(ends) + 1)
    if HAS_ANNBATCH and isinstance(matrix.group if isinstance(matrix, CSRDataset) else matrix, zarr.Group | zarr.Array):
        read = np.concatenate([np.arange(run[0], run[-1] + 1) for run in runs])
        block = _by_annbatch(matrix, read)
        return block if len(read) == len(rows) else block[np.isin(read, rows, assume_unique=True)]
    if isinstance(matrix, CSRDataset):
        return sp.vstack(list(_sparse_runs(matrix, runs)), format="csr")
    return np.concatenate([np.asarray(matrix[run[0] : run[-1] + 1])[run - run[0]] for run in runs])


def _by_annbatch(matrix: Any, rows: np.ndarray) -> Block:
    """Ascending rows of a matrix in a Zarr store, in one request of a sampler: annbatch has no other way in."""
    from annbatch import Loader  # takes a second to import
    from annbatch.abc import Sampler

    class Rows(Sampler):
        batch_size, shuffle = None, False

        def n_batches(self, n_obs: int) -> int:
            return 1

        def validate(self, n_obs: int) -> None:
            pass

        def _sample(self, n_obs: int) -> Iterator[Any]:
            yield {"requests": rows, "splits": [np.arange(len(rows))]}

    return next(iter(Loader(batch_sampler=Rows(), preload_to_gpu=False).add_dataset(matrix)))["X"]


def _sparse_runs(matrix: CSRDataset, runs: list[np.ndarray]) -> Iterator[sp.csr_matrix]:
    """Rows by runs, of which what lies between is read, too; without what anndata does anew for each of them."""
    first, last = runs[0][0], runs[-1][-1] + 1
    starts, values, columns = matrix.group["indptr"][first : last + 1], matrix.group["data"], matrix.group["indices"]
    for rows in runs:
        own = starts[rows[0] - first : rows[-1] + 2 - first]
        parts = values[own[0] : own[-1]], columns[own[0] : own[-1]], own - own[0]
        block = sp.csr_matrix(parts, shape=(len(own) - 1, matrix.shape[1]))
        yield block if len(rows) == block.shape[0] else block[rows - rows[0]]


def blocks(matrix: Matrix) -> Iterator[tuple[int, Block]]:
    """First row and rows of consecutive blocks of a matrix from :func:`by_rows`; sparse ones hold each entry once."""
    n_rows = matrix.shape[0]
    n_stored = matrix.group["data"].size if isinstance(matrix, CSRDataset) else matrix.size
    step = max(1, int(n_rows * BLOCK_VALUES / max(n_stored, 1)))
    for start in range(0, n_rows, step):
        block = matrix[start : start + step]
        if is_sparse(block) and not block.has_canonical_format:
            # A copy, as the matrix is the caller's.
            block = block.copy()
            block.sum_duplicates()
        yield start, block
