"""Reading and writing: nothing half-written, nothing overwritten unasked, text as every anndata has it."""

from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import anndata
import mudata
import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData

from mmvae._compat import unpulled
from mmvae._files import replacing

from ._parser import InputError

# The name under which scvi-tools looks for a model in its folder.
MODEL_FILE = "model.pt"
READERS = {".h5mu": mudata.read_h5mu, ".h5ad": anndata.read_h5ad}


def read(path: Path) -> MuData | AnnData:
    """Read a file of either format; raise :class:`InputError` if there is none, or not of the format its name says."""
    if path.suffix not in READERS:
        msg = f"Expected a .h5mu or .h5ad file; got '{path}'. Write your data in one of the two formats."
        raise InputError(msg)
    if not path.is_file():
        msg = f"Expected a file; '{path}' is not one. Check the path."
        raise InputError(msg)
    try:
        with unpulled():
            return READERS[path.suffix](path)
    # The readers raise anything for a file that they do not understand.
    except Exception as error:
        msg = f"Expected a {path.suffix} file; '{path}' cannot be read: {error}. Check that it is complete."
        raise InputError(msg) from error


def write(data: MuData | AnnData, path: Path) -> None:
    """Write to a temporary name, then rename. Text of pandas' own types becomes objects in ``data``, too."""
    _store_as_objects(data)
    with replacing(path) as part, unpulled():
        data.write(part)


def refuse_existing(path: Path, *, overwrite: bool) -> None:
    """Raise :class:`InputError` if ``path`` is a folder, or a file that may not be replaced."""
    if path.is_dir():
        msg = f"Expected the name of a file to write; '{path}' is a folder. Name a file in it."
        raise InputError(msg)
    if path.exists() and not overwrite:
        msg = f"'{path}' exists. Name another file, or add --overwrite."
        raise InputError(msg)


def check_output(path: Path, *, overwrite: bool) -> None:
    """Raise :class:`InputError` if a file cannot be written to ``path``, or may not be replaced."""
    refuse_existing(path, overwrite=overwrite)
    if not path.parent.is_dir():
        msg = f"Expected a folder for OUT; '{path.parent}' is not one. Make it first."
        raise InputError(msg)


def make_folder(path: Path) -> None:
    """Make a folder unless it is there, or raise :class:`InputError`."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"Expected a folder to write to; '{path}' cannot be made: {error}. Name another."
        raise InputError(msg) from error


def _store_as_objects(data: MuData | AnnData) -> None:
    """Put text that pandas holds in types of its own, which anndata refuses to write by default, into objects."""
    parts = [data, *(data.mod.values() if isinstance(data, MuData) else ())]
    for part in parts:
        raw = getattr(part, "raw", None)
        # All at first: anndata checks names in obsm against those in obs whenever it is asked for obsm.
        tables = [part.obs, part.var, *part.obsm.values(), *part.varm.values(), None if raw is None else raw.var]
        for table in tables:
            if isinstance(table, pd.DataFrame):
                _convert(table)
        _convert_values(part.uns)


def _convert(frame: pd.DataFrame) -> None:
    if _is_text(frame.index.dtype):
        frame.index = frame.index.astype(object)
    for name, column in frame.items():
        kept = column.astype("category") if _is_text(column.dtype) else column
        if isinstance(kept.dtype, pd.CategoricalDtype) and _is_text(kept.cat.categories.dtype):
            frame[name] = kept.cat.rename_categories(pd.Index(kept.cat.categories, dtype=object))


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
