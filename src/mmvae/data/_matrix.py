"""Reading matrices block by block, whatever they are stored as. N rows, G columns."""

from collections.abc import Iterator
from typing import TypeAlias, TypeGuard

import h5py
import numpy as np
import scipy.sparse as sp
import zarr
from anndata import AnnData
from anndata.abc import CSCDataset, CSRDataset

# Whatever `is_supported` accepts, and rows of it in memory.
Matrix: TypeAlias = np.ndarray | sp.csr_matrix | sp.csc_matrix | h5py.Dataset | zarr.Array | CSRDataset | CSCDataset
Block: TypeAlias = np.ndarray | sp.csr_matrix

# Values that one block may hold, stored ones where the matrix is sparse.
BLOCK_VALUES = 4_000_000
# Rows between two that are wanted which a file is read on for, rather than asked twice.
GAP = 16


def values_of(adata: AnnData, layer: str | None) -> Matrix:
    """The matrix of ``layer``, of X where it is ``None``."""
    return adata.X if layer is None else adata.layers[layer]


def is_sparse(matrix: object) -> TypeGuard[sp.csr_matrix]:
    """Whether a matrix is one of scipy's sparse ones."""
    return sp.issparse(matrix)


def is_supported(matrix: object) -> bool:
    """Whether mmvae can read this matrix: real numbers in numpy, CSR or CSC, in memory or in an HDF5 or Zarr file."""
    if np.dtype(getattr(matrix, "dtype", object)).kind not in "buif":
        return False
    if is_sparse(matrix):
        return matrix.format in ("csr", "csc")
    return isinstance(matrix, np.ndarray) or is_on_disk(matrix)


def is_on_disk(matrix: object) -> bool:
    """Whether a matrix is one of those in files that mmvae reads."""
    return isinstance(matrix, h5py.Dataset | zarr.Array | CSRDataset | CSCDataset)


def by_rows(matrix: Matrix) -> Matrix:
    """The same matrix in a form whose rows are quick to take: CSC becomes CSR, the rest stays."""
    if isinstance(matrix, CSCDataset):
        matrix = matrix.to_memory()
    return matrix.tocsr() if is_sparse(matrix) and matrix.format == "csc" else matrix


def take(matrix: Matrix, rows: np.ndarray) -> Block:
    """Rows of a matrix from :func:`by_rows`, in the order given; files are read in ascending runs of rows."""
    if not is_on_disk(matrix):
        return matrix[rows]
    ascending, place = np.unique(rows, return_inverse=True)
    runs = np.split(ascending, np.flatnonzero(np.diff(ascending) > GAP) + 1)
    ranges = [(int(run[0]), int(run[-1]) + 1) for run in runs]
    read = _sparse_ranges(matrix, ranges) if isinstance(matrix, CSRDataset) else (matrix[i:j] for i, j in ranges)
    parts = [part[run - run[0]] for part, run in zip(read, runs, strict=True)]
    return (sp.vstack(parts, format="csr") if is_sparse(parts[0]) else np.concatenate(parts))[place]


def _sparse_ranges(matrix: CSRDataset, ranges: list[tuple[int, int]]) -> Iterator[sp.csr_matrix]:
    """Ascending ranges of rows, without what anndata does anew for each of them."""
    first, last = ranges[0][0], ranges[-1][1]
    starts, values, columns = matrix.group["indptr"][first : last + 1], matrix.group["data"], matrix.group["indices"]
    for start, stop in ranges:
        own = starts[start - first : stop - first + 1]
        parts = values[own[0] : own[-1]], columns[own[0] : own[-1]], own - own[0]
        yield sp.csr_matrix(parts, shape=(stop - start, matrix.shape[1]))


def blocks(matrix: Matrix) -> Iterator[tuple[int, Block]]:
    """First row and rows of consecutive blocks of a matrix from :func:`by_rows`; sparse ones hold each entry once."""
    n_rows, n_columns = matrix.shape
    stored = matrix.nnz if is_sparse(matrix) else n_rows * n_columns
    step = max(1, int(n_rows * BLOCK_VALUES / max(stored, 1)))
    for start in range(0, n_rows, step):
        block = matrix[start : start + step]
        if is_sparse(block) and not block.has_canonical_format:
            # A copy, as the matrix is the caller's.
            block = block.copy()
            block.sum_duplicates()
        yield start, block
