"""Data whose values stay in files. C cells."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import zarr
from anndata import AnnData
from anndata.io import read_elem, sparse_dataset
from mudata import MuData

from mmvae.data import joined

StrPath = str | os.PathLike[str]
IN_MEMORY = ("obs", "var", "obsm", "obsp", "uns")


def read_backed(source: StrPath | Mapping[str, StrPath]) -> MuData:
    """Open data without reading their values, for data that are larger than memory.

    ``obs``, ``var``, ``obsm``, ``obsp`` and ``uns`` are read, X and layers stay in the files, which must stay where they
    are. A model reads them in blocks of successive cells: keep the cells of all modalities in one order, which a mosaic's
    may well have gaps in, and store sparse values by rows (CSR); values that are stored by columns are read whole.

    Parameters
    ----------
    source
        File of a MuData, ``.h5mu`` or Zarr; or by modality, files of AnnData, ``.h5ad`` or Zarr. Cells of the same name are
        the same cell.

    Returns
    -------
    MuData, for :meth:`mmvae.MultiVAE.setup_mudata`. A modality's values cannot be changed in it.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If a file holds no such data.

    Examples
    --------
    >>> mdata = mmvae.pp.read_backed({"rna": "rna.zarr", "protein": "protein.h5ad"})
    >>> mmvae.MultiVAE.setup_mudata(mdata)
    >>> model = mmvae.MultiVAE(mdata)
    >>> model.train()  # reads the files anew in every epoch
    """
    if isinstance(source, Mapping):
        return joined({name: _modality(_open(path), path) for name, path in source.items()})
    root = _open(source)
    if "mod" not in root:
        msg = (
            f"Expected the file of a MuData; got {os.fspath(source)}. For files of AnnData give a mapping by modality."
        )
        raise ValueError(msg)
    own = {key: read_elem(root[key]) for key in IN_MEMORY if key in root}
    names = root["mod"].attrs.get("mod-order", list(root["mod"]))
    mdata = joined({name: _modality(root["mod"][name], source) for name in names}, own["obs"])
    for key in ("obsm", "obsp"):
        getattr(mdata, key).update({k: value for k, value in own.get(key, {}).items() if k not in mdata.mod})
    mdata.uns.update(own.get("uns", {}))
    return mdata


def _open(path: StrPath) -> Any:
    """The root of a file, which HDF5 and Zarr let one read alike."""
    if not Path(path).exists():
        msg = f"Expected a file or a Zarr store at '{os.fspath(path)}'; got none. Correct the path."
        raise FileNotFoundError(msg)
    try:
        # Where a store is not found any more, as from another working folder, Zarr takes dense values for 0.
        return zarr.open_group(os.path.abspath(path), mode="r") if Path(path).is_dir() else h5py.File(path, "r")
    except (OSError, ValueError) as error:
        msg = f"Expected a file of HDF5 or a Zarr store; '{os.fspath(path)}' cannot be read as one: {error}."
        raise ValueError(msg) from error


def _modality(group: Any, path: StrPath) -> AnnData:
    if "X" not in group or "obs" not in group:
        msg = f"Expected an AnnData with X in {os.fspath(path)}; got a group of {list(group)}."
        raise ValueError(msg)
    layers = group["layers"] if "layers" in group else {}
    own = {key: read_elem(group[key]) for key in IN_MEMORY if key in group}
    return AnnData(_values(group["X"]), layers={name: _values(layers[name]) for name in layers}, **own)


def _values(element: Any) -> Any:
    """A matrix as anndata knows those in files: a group is a sparse one."""
    return sparse_dataset(element) if hasattr(element, "keys") else element
