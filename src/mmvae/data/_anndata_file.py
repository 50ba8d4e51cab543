"""A file of AnnData whose matrix is filled piece by piece. C cells, G features."""

import math
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import zarr
from anndata import AnnData
from anndata.io import write_elem
from mudata import MuData

from mmvae._files import check_room, replacing

from ._access import files_of

# Cells and features of a chunk at the most, 4 MiB: part of a minibatch.
CHUNK = (128, 8_192)
# Bytes that a name takes in HDF5, about.
OF_NAME = 100


def checked_path(path: str | os.PathLike[str], *read: AnnData | MuData | None, overwrite: bool) -> Path:
    """``path``, to which an AnnData can be written while data are ``read``; what it cannot be is found beforehand."""
    path = Path(path)
    if path.suffix not in (".h5ad", ".zarr"):
        msg = f"Expected out to end in .h5ad or .zarr; got '{path}'. Rename it."
        raise ValueError(msg)
    if not path.parent.is_dir():
        msg = f"Expected a folder for out; '{path.parent}' is not one. Make it first."
        raise FileNotFoundError(msg)
    # No folder of other things is replaced.
    files = [path] if path.suffix == ".h5ad" else [path / "zarr.json", path / ".zgroup"]
    is_alike = any(file.is_file() for file in files)
    if path.exists() and not (overwrite and is_alike):
        advice = " or overwrite=True" if is_alike else ""
        msg = f"Expected a new name for out; '{path}' exists. Give another{advice}."
        raise FileExistsError(msg)
    if path.exists() and any(path.resolve() in (f, *f.parents) for d in read if d is not None for f in files_of(d)):
        msg = f"Expected another file for out than those that values are read from; got '{path}'. Give a new name."
        raise FileExistsError(msg)
    return path


@contextmanager
def new_matrix(path: Path, cells: pd.Index, features: pd.Index) -> Iterator[Any]:
    """An array on disk, single precision, ``(n_cells, n_features)``, to fill; where that ends well, X of a file at ``path``."""
    with new_matrices(path, cells, features) as (matrix,):
        yield matrix


@contextmanager
def new_matrices(path: Path, cells: pd.Index, features: pd.Index, layers: Sequence[str] = ()) -> Iterator[list[Any]]:
    """:meth:`new_matrix` with further ones of the same shape, the layers of the file; X is the first."""
    if path.suffix == ".h5ad":
        needed = (1 + len(layers)) * _stored(len(cells), len(features)) + OF_NAME * (len(cells) + len(features)) + 2**20
        check_room(path.parent, needed, ", name fewer features, or write .zarr, which is compressed")
    with replacing(path, overwrite=path.exists()) as part:
        if path.suffix == ".h5ad":
            with h5py.File(part, "w") as root:
                yield _empty_matrices(root, cells, features, layers, maxshape=(None, None))
        else:
            yield _empty_matrices(zarr.open_group(str(part), mode="w"), cells, features, layers)
            with _quiet():
                zarr.consolidate_metadata(str(part))


def _stored(*shape: int) -> int:
    """Bytes of a matrix in whole chunks."""
    return 4 * math.prod(-(-n // size) * size for n, size in zip(shape, _chunks(shape), strict=True))


def _chunks(shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(max(1, min(pair)) for pair in zip(CHUNK, shape, strict=True))


def _empty_matrices(root: Any, cells: pd.Index, features: pd.Index, layers: Sequence[str], **options: Any) -> list[Any]:
    """Names in ``root``, X, and the layers."""
    shape = len(cells), len(features)
    # Text as objects, which every version of anndata writes.
    obs, var = (pd.DataFrame(index=pd.Index(names, dtype=object)) for names in (cells, features))
    options["chunks"] = _chunks(shape)
    with _quiet():
        write_elem(root, "/", AnnData(obs=obs, var=var))
        return [
            _empty_matrix(root, "X", shape, options),
            *(_empty_matrix(root["layers"], n, shape, options) for n in layers),
        ]


def _empty_matrix(group: Any, name: str, shape: tuple[int, int], options: dict[str, Any]) -> Any:
    # anndata takes an array as a whole, so it gets one without cells, which then grows.
    write_elem(group, name, np.empty((0, shape[1]), dtype=np.float32), dataset_kwargs=options)
    group[name].resize(shape)
    return group[name]


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what anndata and zarr announce of zarr's format 3, which both read."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(?i).*(consolidated metadata|autosharding)", UserWarning)
        yield
