"""The data that are saved with a model: a file of their own that belongs to one model file and to no other.

A mark in both says so. The data of a new model wait under a hidden name that has the mark until the model's file stands, so
that either the old pair is found or the new one, whenever a save ends.
"""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from typing import Any

import anndata
import h5py
import mudata
import numpy as np

from mmvae._compat import unpulled
from mmvae._files import take_over
from mmvae.data import modalities_of

from ._data import Data

# Names of scvi-tools, and the attribute of a file that has the mark.
FILES = {"setup_mudata": "mdata.h5mu", "setup_anndata": "adata.h5ad"}
MARK = "mmvae_saved"
MARK_LENGTH = 32


def real_path(path: Path) -> Path:
    """The file that a link leads to, beside which its data wait."""
    return Path(os.path.realpath(path))


@contextmanager
def waiting(data: Data, path: Path, mark: str, **options: Any) -> Iterator[Path]:
    """Write data that wait for the model file of ``mark`` to become ``path``; give the name under which they do.

    They are removed if the block, which makes that file, fails.
    """
    name = _waiting(path, mark)
    try:
        with unpulled(), _where_it_is(data), _as_texts(data):
            data.write(name, **options)
        with h5py.File(name, "r+") as file:
            file.attrs[MARK] = mark
        if path.exists():
            take_over(path.stat(), name)
        with name.open("rb+") as written:
            os.fsync(written.fileno())
        yield name
    except BaseException:
        name.unlink(missing_ok=True)
        raise


def clear_waiting(path: Path, mark: str = "?" * MARK_LENGTH) -> None:
    """Remove data that waited for a model file that is none, of any mark, as after a save that was killed."""
    for left in path.parent.glob(f".{escape(path.stem)}.{mark}{path.suffix}"):
        left.unlink(missing_ok=True)


def read_saved(path: Path, mark: str | None) -> Data | None:
    """Read the data that were saved with the model file of ``mark``; ``None`` with a warning if there are none.

    Raises
    ------
    ValueError
        If the file cannot be read, or is of another save.
    """
    path = real_path(path)
    found = _waiting(path, mark) if mark is not None and _waiting(path, mark).is_file() else path
    if not found.is_file():
        msg = f"The model is loaded without data: there is no '{path}', and none were given as adata."
        warnings.warn(msg, UserWarning, stacklevel=4)
        return None
    try:
        with h5py.File(found, "r") as file:
            own = file.attrs.get(MARK)
        if own in (None, mark):
            with unpulled():
                return anndata.read_h5ad(found) if path.suffix == ".h5ad" else mudata.read_h5mu(found)
    except Exception as error:  # the readers raise anything for a file that they do not understand
        msg = f"Expected a {path.suffix} file; '{found}' cannot be read: {error}. Give the data as adata, or False for none."
        raise ValueError(msg) from error
    msg = (
        f"Expected the data that were saved with the model; '{found}' was saved with another. Give the right ones as adata, "
        "or False for none, and save both by save_anndata=True."
    )
    raise ValueError(msg)


@contextmanager
def _where_it_is(data: Data) -> Iterator[None]:
    """Let data that are read from a file go on to be so, where anndata would go on with the one that was written."""
    file = data.filename if data.isbacked else None
    try:
        yield
    finally:
        if file is not None:
            data.file.filename = file


@contextmanager
def _as_texts(data: Data) -> Iterator[None]:
    """Let columns of text stay so, of which anndata makes categories where it writes them."""
    tables = [one for adata in modalities_of(data).values() for one in (adata, adata.raw) if one is not None]
    frames = [frame for one in tables for frame in (getattr(one, "obs", None), one.var) if frame is not None]
    before = [(frame, frame.copy(deep=False)) for frame in frames]
    try:
        yield
    finally:
        for frame, own in before:
            for number in np.flatnonzero(frame.dtypes.to_numpy() != own.dtypes.to_numpy()):
                frame.isetitem(number, own.iloc[:, number])


def _waiting(path: Path, mark: str) -> Path:
    return path.with_name(f".{path.stem}.{mark}{path.suffix}")
