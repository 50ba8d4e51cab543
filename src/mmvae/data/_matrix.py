"""Reading matrices block by block, whatever they are stored as. N rows, G columns."""

from collections.abc import Iterator
from typing import TypeAlias, TypeGuard

import h5py
import numpy as np
import scipy.sparse as sp
from anndata import AnnData
from anndata.abc import CSCDataset, CSRDataset

Matrix: TypeAlias = np.ndarray | sp.csr_matrix | sp.csc_matrix | h5py.Dataset | CSRDataset | CSCDataset
"""Whatever :func:`is_supported` accepts."""
Block: TypeAlias = np.ndarray | sp.csr_matrix
"""Rows of a matrix, in memory."""

BLOCK_VALUES = 4_000_000
"""Values that one block may hold, stored ones where the matrix is sparse."""


def values_of(adata: AnnData, layer: str | None) -> Matrix:
    """The matrix of ``layer``, of X where it is ``None``."""
    return adata.X if layer is None else adata.layers[layer]


def is_sparse(matrix: object) -> TypeGuard[sp.csr_matrix]:
    """Whether a matrix is one of scipy's sparse ones."""
    return sp.issparse(matrix)


def is_supported(matrix: object) -> bool:
    """Whether mmvae can read this matrix: real numbers in numpy, CSR or CSC, in memory or backed by a file."""
    if np.dtype(getattr(matrix, "dtype", object)).kind not in "buif":
        return False
    if is_sparse(matrix):
        return matrix.format in ("csr", "csc")
    return isinstance(matrix, np.ndarray | h5py.Dataset | CSRDataset | CSCDataset)


def by_rows(matrix: Matrix) -> Matrix:
    """The same matrix in a form whose rows are quick to take: CSC becomes CSR, the rest stays."""
    if isinstance(matrix, CSCDataset):
        matrix = matrix.to_memory()
    return matrix.tocsr() if is_sparse(matrix) and matrix.format == "csc" else matrix


def take(matrix: Matrix, rows: np.ndarray) -> Block:
    """Rows of a matrix from :func:`by_rows`, in the order given; files are read in ascending order."""
    if not isinstance(matrix, h5py.Dataset | CSRDataset):
        return matrix[rows]
    ascending, place = np.unique(rows, return_inverse=True)
    return matrix[ascending][place]


def blocks(matrix: Matrix) -> Iterator[tuple[int, Block]]:
    """First row and rows of consecutive blocks of a matrix from :func:`by_rows`; sparse ones hold each entry once."""
    n_rows, n_columns = matrix.shape
    stored = matrix.nnz if is_sparse(matrix) else n_rows * n_columns
    step = max(1, int(n_rows * BLOCK_VALUES / max(stored, 1)))
    for start in range(0, n_rows, step):
        yield start, _canonical(matrix[start : start + step])


def _canonical(block: Block) -> Block:
    """The block with entries that stand for one value added up; that of the caller is left as it is."""
    if not is_sparse(block) or block.has_canonical_format:
        return block
    block = block.copy()
    block.sum_duplicates()
    return block


def stored_values(block: Block) -> np.ndarray:
    """Values of a block that are written down, flat: all of a dense one, the non-zero ones of a sparse one."""
    return block.data if is_sparse(block) else np.asarray(block).ravel()


def rows_of_stored(block: Block) -> np.ndarray:
    """Row, within the block, of each of its :func:`stored_values`."""
    if is_sparse(block):
        return np.repeat(np.arange(block.shape[0]), np.diff(block.indptr))
    return np.repeat(np.arange(block.shape[0]), block.shape[1])
