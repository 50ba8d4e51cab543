"""Reading and writing: results whole or not at all, of this run alone, text as every anndata has it."""

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import anndata
import h5py
import mudata
import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData

from mmvae._compat import unpulled
from mmvae._files import Claim, check_room, claimed
from mmvae.data import size_of

from ._parser import InputError
from ._words import in_words

# The name under which scvi-tools looks for a model in its folder.
MODEL_FILE = "model.pt"
READERS = {".h5mu": mudata.read_h5mu, ".h5ad": anndata.read_h5ad}
NAMES = {".h5mu": "a MuData", ".h5ad": "an AnnData"}


def read(path: Path) -> MuData | AnnData:
    """Read a file of either format; raise :class:`InputError` if there is none, or not of the format its name says."""
    if path.suffix not in READERS:
        msg = f"Expected a .h5mu or .h5ad file; got '{path}'. Write your data in one of the two formats."
        raise InputError(msg)
    if not path.is_file():
        msg = f"Expected a file; '{path}' is not one. Check the path."
        raise InputError(msg)
    if (found := _format_of(path)) not in (None, path.suffix):
        msg = f"Expected {NAMES[path.suffix]} in '{path}'; got {NAMES[found]}. Let its name end in {found}."
        raise InputError(msg)
    try:
        with unpulled():
            return READERS[path.suffix](path)
    # The readers raise anything for a file that they do not understand.
    except Exception as error:
        msg = f"Expected a {path.suffix} file; '{path}' cannot be read: {error}. Check that it is complete."
        raise InputError(msg) from error


def _format_of(path: Path) -> str | None:
    """The ending that a file should have, if it is HDF5 of either format."""
    try:
        with h5py.File(path) as root:
            return ".h5mu" if "mod" in root else ".h5ad" if "obs" in root else None
    except OSError:  # which the readers say better
        return None


def write(data: MuData | AnnData, path: Path) -> None:
    """Write to ``path``. Text of pandas' own types becomes objects in ``data``, too."""
    _store_as_objects(data)
    check_room(path.parent, size_of(data), ", or name another folder")
    with unpulled():
        data.write(path)


@contextmanager
def output(path: Path, *, overwrite: bool) -> Iterator[Claim]:
    """Keep the name of a result for this run; raise :class:`InputError` if it cannot be written, or may not be replaced."""
    if path.is_dir():
        msg = f"Expected the name of a file to write; '{path}' is a folder. Name a file in it."
        raise InputError(msg)
    if path.exists() and not overwrite:
        msg = f"'{path}' exists. Name another file, or add --overwrite."
        raise InputError(msg)
    if not path.parent.is_dir():
        msg = f"Expected a folder for OUT; '{path.parent}' is not one. Make it first."
        raise InputError(msg)
    with ExitStack() as stack:
        try:
            claim = stack.enter_context(claimed(path, overwrite=overwrite, wait=0))
        except OSError as error:
            raise InputError(str(error.strerror)) from error
        yield claim


@contextmanager
def folder_for(path: Path) -> Iterator[None]:
    """Make a folder unless it is there, or raise :class:`InputError`; what is made and stays empty goes at the end."""
    made = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            msg = f"Expected a folder to write to; '{path}' cannot be made: {error}. Name another."
            raise InputError(msg) from error
        yield
    finally:
        for folder in made:
            with suppress(OSError):
                folder.rmdir()


def write_all(results: Mapping[Claim, Callable[[Path], None]]) -> None:
    """Make all results, then give each its name. What fails keeps no other from its own, and is raised at the end."""
    made: list[tuple[Claim, ExitStack]] = []
    written, failures = list[Path](), list[Exception]()
    for claim, make in results.items():
        with _added_to(failures), ExitStack() as stack:
            make(stack.enter_context(claim.writing()))
            made.append((claim, stack.pop_all()))
    for claim, stack in made:
        with _added_to(failures):
            stack.close()
            written.append(claim.path)
    for path in written:
        print(f"Wrote {path}")
    if len(failures) > 1:
        raise OSError("\n".join(map(in_words, failures))) from failures[0]
    if failures:
        raise failures[0]


@contextmanager
def _added_to(failures: list[Exception]) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # noqa: BLE001 - whatever it is, it is raised once the other results are written
        failures.append(error)


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
