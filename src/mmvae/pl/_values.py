"""What a colour's name stands for: columns, genes and dimensions of embeddings, in every cell. C cells."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from mudata import MuData

from mmvae.data import modalities_of, rows_of

N_CLOSE = 4


@dataclass(frozen=True)
class Values:
    """Values to colour by.

    ``values`` is a Series of numbers or a category, ``(n_cells,)``, missing where a cell has none; ``stored`` the colours
    that the data keep for the categories.
    """

    name: str
    values: pd.Series
    stored: tuple[str, ...] = ()

    @property
    def is_category(self) -> bool:
        """Whether the values are categories."""
        return isinstance(self.values.dtype, pd.CategoricalDtype)


def find_values(data: AnnData | MuData, name: str) -> Values:
    """The values of that name.

    Raises
    ------
    LookupError
        If there are none, or several; the message says what to name instead.
    """
    if name in data.obs:
        return _of_column(name, data.obs[name], data.uns, name)
    modalities = modalities_of(data)
    having = [modality for modality, adata in modalities.items() if name in adata.var_names]
    if len(having) == 1:
        return Values(name, _of_gene(data, having[0], name))
    if having:
        msg = f"'{name}' is a feature of several modalities. Name one: {[f'{modality}:{name}' for modality in having]}."
        raise LookupError(msg)
    first, colon, rest = name.partition(":")
    if colon and first in modalities:
        if (found := _of_modality(data, first, rest)) is not None:
            return found
    if first in data.obsm and np.ndim(data.obsm[first]) == 2:
        return Values(name, _of_dimension(data.obsm[first], first, rest, data.obs_names))
    raise LookupError(_unknown(data, name))


def find_column(data: AnnData | MuData, name: str) -> pd.Series:
    """The column of that name, of ``obs`` or, as ``"rna:column"``, of a modality's.

    Raises
    ------
    LookupError
        If there is none.
    """
    modality, _, rest = name.partition(":")
    if name in data.obs:
        return data.obs[name]
    if modality in modalities_of(data) and rest in modalities_of(data)[modality].obs:
        return _spread_column(data, modality, rest)
    msg = f"obs has no column '{name}'; it has {list(data.obs.columns)}."
    raise LookupError(msg)


def _of_modality(data: AnnData | MuData, modality: str, rest: str) -> Values | None:
    """A column or a gene of one modality."""
    adata, name = modalities_of(data)[modality], f"{modality}:{rest}"
    if rest in adata.obs:
        uns = dict(adata.uns) | dict(data.uns)
        return _of_column(name, _spread_column(data, modality, rest), uns, rest)
    return Values(name, _of_gene(data, modality, rest)) if rest in adata.var_names else None


def _of_column(name: str, column: pd.Series, uns: Mapping[str, Any], key: str) -> Values:
    if isinstance(column.dtype, pd.CategoricalDtype):
        return Values(name, column, tuple(uns.get(f"{key}_colors", ())))
    if pd.api.types.is_bool_dtype(column) or not pd.api.types.is_numeric_dtype(column):
        known = column.notna()
        return Values(
            name, column.where(~known, column.astype(str)).astype("category"), tuple(uns.get(f"{key}_colors", ()))
        )
    return Values(name, pd.Series(column.to_numpy(dtype=float, na_value=np.nan), index=column.index))


def _spread_column(data: AnnData | MuData, modality: str, column: str) -> pd.Series:
    """A modality's column in all cells, missing where a cell lacks the modality."""
    rows = rows_of(data, modality)
    found = modalities_of(data)[modality].obs[column].reset_index(drop=True).reindex(np.where(rows < 0, -1, rows))
    return found.set_axis(data.obs_names)


def _of_gene(data: AnnData | MuData, modality: str, gene: str) -> pd.Series:
    adata, rows = modalities_of(data)[modality], rows_of(data, modality)
    values = adata.X[:, int(np.argmax(adata.var_names == gene))]
    values = values.toarray() if sp.issparse(values) else np.asarray(values)
    return pd.Series(np.where(rows < 0, np.nan, values.ravel().astype(float)[rows]), index=data.obs_names)


def _of_dimension(matrix: Any, key: str, dimension: str, cells: pd.Index) -> pd.Series:
    """One column of a matrix in ``obsm``."""
    names = [str(c) for c in matrix.columns] if hasattr(matrix, "columns") else [str(i) for i in range(matrix.shape[1])]
    if dimension not in names:
        got = f"'{dimension}'" if dimension else "all of it"
        msg = f"obsm['{key}'] has {len(names)} columns, '{names[0]}' to '{names[-1]}'; got {got}. Name one, as '{key}:{names[0]}'."
        raise LookupError(msg)
    number = names.index(dimension)
    values = matrix.iloc[:, number] if hasattr(matrix, "iloc") else matrix[:, [number]]
    values = values.toarray() if sp.issparse(values) else np.asarray(values)
    return pd.Series(values.ravel().astype(float), index=cells)


def _unknown(data: AnnData | MuData, name: str) -> str:
    known = list(map(str, data.obs)) + [f"{k}:{d}" for k, d in _first_dimensions(data).items()]
    for modality, adata in modalities_of(data).items():
        prefix = f"{modality}:" if isinstance(data, MuData) else ""
        known += [f"{prefix}{column}" for column in adata.obs]
        known += [*adata.var_names, *(f"{prefix}{gene}" for gene in adata.var_names if prefix and ":" in name)]
    by_lower = {one.lower(): one for one in reversed(known)}
    close = [by_lower[one] for one in get_close_matches(name.lower(), by_lower, n=N_CLOSE)]
    close += [one for one in known if one.endswith(f":{name}") and one not in close]
    hint = f" Is it {close}?" if close else f" Columns of obs are {list(data.obs.columns)}."
    return (
        f"'{name}' is neither a column of obs, nor a feature of a modality, nor a key of obsm with a dimension.{hint}"
    )


def _first_dimensions(data: AnnData | MuData) -> dict[str, str]:
    """By key of ``obsm``, its first column."""
    matrices = {key: matrix for key, matrix in data.obsm.items() if np.ndim(matrix) == 2}
    return {key: str(matrix.columns[0]) if hasattr(matrix, "columns") else "0" for key, matrix in matrices.items()}
