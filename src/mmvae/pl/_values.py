"""What a colour's name stands for: columns, genes and dimensions of embeddings, in every cell. C cells."""

from difflib import get_close_matches
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData

from mmvae._keys import PATTERN
from mmvae.data import modalities_of, pattern_names, presence_of, rows_of

from ._tables import flat


def find_values(data: AnnData | MuData, name: str, layer: str | None = None) -> tuple[pd.Series, tuple[str, ...]]:
    """Numbers or a category of text, ``(n_cells,)``, and colours kept for it; ``LookupError`` says what to name instead.

    Values of features are those of X, or of ``layer``.
    """
    if (found := find_column(data, name)) is not None:
        return _numbers_or_category(found[0]), found[1]
    if name == PATTERN:
        return _patterns(data), ()
    if (place := find_feature(data, name)) is not None:
        return _of_feature(data, *place, layer), ()
    first, _, rest = name.partition(":")
    if (matrix := matrices_of(data).get(first)) is not None:
        return _of_dimension(matrix, first, rest, data.obs_names), ()
    raise LookupError(_unknown(data, name))


def find_feature(data: AnnData | MuData, name: str) -> tuple[str, str] | None:
    """Modality and name of a feature, ``None`` if there is none such; ``LookupError`` if several modalities have it."""
    modalities = modalities_of(data)
    having = [modality for modality, adata in modalities.items() if name in adata.var_names]
    if len(having) > 1:
        msg = f"'{name}' is a feature of several modalities. Name one: {[f'{modality}:{name}' for modality in having]}."
        raise LookupError(msg)
    if having:
        return having[0], name
    modality, _, feature = name.partition(":")
    return (modality, feature) if modality in modalities and feature in modalities[modality].var_names else None


def find_column(data: AnnData | MuData, name: str) -> tuple[pd.Series, tuple[str, ...]] | None:
    """A column in all cells, of a modality's ``obs`` as ``"rna:column"``, or of ``obs``, and colours kept for it.

    mudata 0.3 copies columns of modalities to ``obs`` under such names: the original comes first, as it has its colours.
    """
    modality, _, rest = name.partition(":")
    adata = modalities_of(data).get(modality)
    if adata is not None and rest in adata.obs:
        column = adata.obs[rest].reset_index(drop=True).reindex(rows_of(data, modality)).set_axis(data.obs_names)
        return column, tuple(data.uns.get(f"{rest}_colors", adata.uns.get(f"{rest}_colors", ())))
    return (data.obs[name], tuple(data.uns.get(f"{name}_colors", ()))) if name in data.obs else None


def _numbers_or_category(column: pd.Series) -> pd.Series:
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.cat.rename_categories(list(map(str, column.cat.categories)))
    if pd.api.types.is_bool_dtype(column) or not pd.api.types.is_numeric_dtype(column):
        return column.astype(str).where(column.notna()).astype("category")
    return pd.Series(column.to_numpy(dtype=float, na_value=np.nan), index=column.index)


def _patterns(data: AnnData | MuData) -> pd.Series:
    """What each cell has, in words, a category, the most frequent first."""
    names = list(modalities_of(data))
    patterns = pd.Series(pattern_names(presence_of(data, names), names), index=data.obs_names)
    return patterns.astype(pd.CategoricalDtype(list(patterns.value_counts().index)))


def _of_feature(data: AnnData | MuData, modality: str, feature: str, layer: str | None) -> pd.Series:
    adata, rows = modalities_of(data)[modality], rows_of(data, modality)
    if layer is not None and layer not in adata.layers:
        msg = f"'{feature}' has no values, as modality '{modality}' has no layer '{layer}'; it has {sorted(filter(None, adata.layers))}."
        raise LookupError(msg)
    matrix = adata.X if layer is None else adata.layers[layer]
    if matrix is None:
        msg = f"'{feature}' has no values, as modality '{modality}' has no X. Put the values to draw in X."
        raise LookupError(msg)
    values = flat(matrix[:, [int(np.argmax(adata.var_names == feature))]])
    return pd.Series(np.where(rows < 0, np.nan, values[rows]), index=data.obs_names)


def _of_dimension(matrix: Any, key: str, dimension: str, cells: pd.Index) -> pd.Series:
    """One column of a matrix in ``obsm``."""
    names = _dimensions(matrix)
    if dimension not in names:
        got = f"'{dimension}'" if dimension else "all of it"
        msg = f"obsm['{key}'] has {len(names)} columns, '{names[0]}' to '{names[-1]}'; got {got}. Name one, as '{key}:{names[0]}'."
        raise LookupError(msg)
    number = names.index(dimension)
    if isinstance(matrix, pd.DataFrame):
        return _numbers_or_category(matrix.iloc[:, number])
    return pd.Series(flat(matrix[:, [number]]), index=cells)


def matrices_of(data: AnnData | MuData) -> dict[str, Any]:
    """What ``obsm`` holds of all cells, by name; not the columns in which mudata keeps who has a modality."""
    masks = data.mod if isinstance(data, MuData) else ()
    return {
        key: matrix
        for key, matrix in data.obsm.items()
        if key not in masks and np.ndim(matrix) == 2 and matrix.shape[1]
    }


def _dimensions(matrix: Any) -> list[str]:
    return [str(name) for name in getattr(matrix, "columns", range(matrix.shape[1]))]


def _unknown(data: AnnData | MuData, name: str) -> str:
    known = list(map(str, data.obs)) + [f"{key}:{_dimensions(matrix)[0]}" for key, matrix in matrices_of(data).items()]
    for modality, adata in modalities_of(data).items():
        prefix = f"{modality}:" if isinstance(data, MuData) else ""
        known += [f"{prefix}{column}" for column in adata.obs]
        known += [*adata.var_names, *(f"{prefix}{gene}" for gene in adata.var_names if prefix and ":" in name)]
    by_lower = {one.lower(): one for one in reversed(known)}
    close = [by_lower[one] for one in get_close_matches(name.lower(), by_lower, n=4)]
    close += [one for one in known if one.endswith(f":{name}") and one not in close]
    hint = f" Is it {close}?" if close else f" Columns of obs are {list(data.obs.columns)}."
    return (
        f"'{name}' is neither a column of obs, nor a feature of a modality, nor a key of obsm with a dimension.{hint}"
    )
