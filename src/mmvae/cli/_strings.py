"""Text in forms that every version of anndata writes and reads."""

from collections.abc import Iterator, MutableMapping
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData


def store_as_objects(data: MuData | AnnData) -> None:
    """Put text that pandas holds in types of its own into objects: names, categories of annotations, and arrays in ``uns``.

    anndata refuses to write pandas' string types unless a setting allows it.
    """
    parts = [data, *(data.mod.values() if isinstance(data, MuData) else ())]
    for part in parts:
        # All at first: anndata checks names in obsm against those in obs whenever it is asked for obsm.
        for frame in list(_frames(part)):
            _convert(frame)
        _convert_values(part.uns)


def _frames(data: MuData | AnnData) -> Iterator[pd.DataFrame]:
    yield from (data.obs, data.var)
    if (raw := getattr(data, "raw", None)) is not None:
        yield raw.var
    for store in (data.obsm, data.varm):
        yield from (values for values in store.values() if isinstance(values, pd.DataFrame))


def _convert(frame: pd.DataFrame) -> None:
    if _is_text(frame.index.dtype):
        frame.index = frame.index.astype(object)
    for name, column in frame.items():
        if _is_text(column.dtype):
            frame[name] = _with_objects(column.astype("category"))
        elif isinstance(column.dtype, pd.CategoricalDtype) and _is_text(column.cat.categories.dtype):
            frame[name] = _with_objects(column)


def _with_objects(column: pd.Series) -> pd.Series:
    return column.cat.rename_categories(pd.Index(column.cat.categories, dtype=object))


def _convert_values(store: MutableMapping[str, Any]) -> None:
    for key, value in store.items():
        if isinstance(value, MutableMapping):
            _convert_values(value)
        elif isinstance(value, pd.DataFrame):
            _convert(value)
        elif isinstance(value, pd.api.extensions.ExtensionArray) and _is_text(value.dtype):
            store[key] = np.asarray(value.fillna(""), dtype=object)


def _is_text(dtype: object) -> bool:
    return isinstance(dtype, pd.StringDtype) or (isinstance(dtype, pd.ArrowDtype) and dtype.type is str)
