"""Matrices of one modality: what the values are, their type, and how they are stored."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from hypothesis import strategies as st

COUNTS, BINARY, FRACTIONS, REALS = KINDS = ("counts", "binary", "fractions", "reals")
WHOLE = ["float32", "float64", "float16", "int8", "uint8", "int16", "int32", "uint32", "int64", "uint64"]
DTYPES = {COUNTS: WHOLE, BINARY: [*WHOLE, "bool"], FRACTIONS: WHOLE[:3], REALS: WHOLE[:3]}
DENSE = ("dense", "by columns", "every other column", "read only")
SPARSE = ("csr", "csc", "csr array", "csc array", "explicit zeros", "unsorted", "in two parts", "long indices")
# The largest number that every type holds exactly.
LARGEST = 100


@st.composite
def values(draw: st.DrawFn, n_rows: int, n_columns: int, kind: str) -> np.ndarray:
    """Values of a kind, not all of them 0, ``(n_rows, n_columns)``; some rows and columns may be 0, or constant."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    share = draw(st.sampled_from([0.3, 0.05, 0.7, 1.0]))
    full = {
        COUNTS: lambda: 1 + rng.poisson(rng.gamma(1.0, 3.0, (n_rows, n_columns))),
        BINARY: lambda: np.ones((n_rows, n_columns)),
        FRACTIONS: lambda: rng.gamma(1.0, 3.0, (n_rows, n_columns)) + 0.01,
        REALS: lambda: rng.normal(draw(st.sampled_from([0.0, -3.0])), 2.0, (n_rows, n_columns)),
    }[kind]()
    found = np.where(rng.random((n_rows, n_columns)) < share, full, 0.0).clip(-LARGEST, LARGEST)
    odd = draw(st.sampled_from(["nothing", "nothing", "a row of 0", "a column of 0", "a constant column"]))
    if odd == "a row of 0" and n_rows > 1:
        found[rng.integers(n_rows)] = 0
    if odd.endswith("column") or odd.endswith("column of 0"):
        found[:, rng.integers(n_columns)] = 0 if odd.endswith("0") else 1
    if not found.any():
        found[rng.integers(n_rows), rng.integers(n_columns)] = 1
    # What makes the kind plain to whoever looks.
    if kind in (FRACTIONS, REALS):
        found[found != 0] += 0.25 * (found[found != 0] % 1 == 0)
        found.flat[np.flatnonzero(found)[0]] = -0.75 if kind == REALS else 0.75
    return found


@st.composite
def matrices(draw: st.DrawFn, n_rows: int, n_columns: int, kind: str) -> tuple[Any, str]:
    """A matrix of values of a kind, and how it is stored, in words."""
    found = draw(values(n_rows, n_columns, kind))
    dtype = draw(st.sampled_from(DTYPES[kind]))
    # scipy has no sparse matrices of half precision.
    form = draw(st.sampled_from(DENSE if dtype == "float16" else SPARSE + DENSE))
    return stored(found.astype(dtype), form), f"{dtype} {form}"


def stored(found: np.ndarray, form: str) -> Any:
    """The values as they are stored under this name."""
    if form in DENSE:
        return _dense(found, form)
    if form in ("csr", "csc"):
        return getattr(sp, f"{form}_matrix")(found)
    if form in ("csr array", "csc array"):
        return getattr(sp, f"{form[:3]}_array")(found)
    return _unusual(sp.csr_matrix(found), form)


def _dense(found: np.ndarray, form: str) -> np.ndarray:
    if form == "by columns":
        return np.asfortranarray(found)
    if form == "every other column":
        return np.repeat(found, 2, axis=1)[:, ::2]
    if form == "read only":
        found.setflags(write=False)
    return found


def _unusual(matrix: sp.csr_matrix, form: str) -> sp.csr_matrix:
    """The same matrix, in a form that scipy allows and does not make by itself."""
    row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    data, column = matrix.data, matrix.indices
    if form == "explicit zeros":
        n = matrix.shape[0]
        # At the end of each row, where there may be a value of that column already.
        row, column = np.append(row, np.arange(n)), np.append(column, np.full(n, matrix.shape[1] - 1))
        data = np.append(data, np.zeros(n, data.dtype))
    if form == "in two parts" and data.dtype != bool:
        half = data // 2 if data.dtype.kind in "iu" else data / 2
        row, column, data = np.append(row, row), np.append(column, column), np.append(half, data - half)
    order = np.argsort(row, kind="stable")
    if form in ("unsorted", "in two parts"):
        order = np.lexsort((-column.astype(int), row))
    starts = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=matrix.shape[0]))])
    index = np.int64 if form == "long indices" else np.int32
    made = sp.csr_matrix(matrix.shape, dtype=data.dtype)
    # Put in as they are: scipy's constructor would choose the type of the indices.
    made.data, made.indices, made.indptr = data[order], column[order].astype(index), starts.astype(index)
    return made
