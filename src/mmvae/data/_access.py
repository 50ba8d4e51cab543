"""One view of AnnData and MuData: named modalities, each cell's row in each of them, and which cells are neighbours."""

import reprlib
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from mudata import MuData

from mmvae._compat import unpulled
from mmvae._keys import CONNECTIVITIES, SCVI_UUID

from ._matrix import is_on_disk

# Share and bytes that HDF5 adds, at the most.
ADDED, MARGIN = 1.02, 2**17


def modalities_of(data: AnnData | MuData, names: Mapping[str, str] | None = None) -> dict[str, AnnData]:
    """Modalities by name; an AnnData is one modality, named by the single value of ``names``."""
    if isinstance(data, AnnData):
        return {next(iter(names.values())) if names else "rna": data}
    return dict(data.mod)


def annotations_of(mdata: MuData) -> dict[str, dict[str, Any]]:
    """What a MuData has beside modalities and ``obs``, without scvi-tools' mark of it as registered."""
    kept = {"obsm": mdata.mod, "obsp": (), "uns": (SCVI_UUID,)}
    return {name: {k: v for k, v in getattr(mdata, name).items() if k not in left} for name, left in kept.items()}


def joined(
    modalities: Mapping[str, AnnData],
    obs: pd.DataFrame | None = None,
    annotations: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
) -> MuData:
    """A MuData of modalities, its cells those of ``obs``, in that order, with :func:`annotations_of` another."""
    with unpulled():
        if obs is None:
            return MuData(modalities)
        # The index alone settles the order of the cells. mudata would convert the types of columns passed with it.
        mdata = MuData(modalities, obs=obs[[]])
    mdata.obs = obs
    for name, values in annotations.items():
        getattr(mdata, name).update(values)
    return mdata


def files_of(data: AnnData | MuData, *, hdf5: bool = True) -> set[Path]:
    """Zarr stores that values of any layer are read from, and files of HDF5."""
    matrices = (m for adata in modalities_of(data).values() for m in (adata.X, *adata.layers.values()) if is_on_disk(m))
    groups = [getattr(matrix, "group", matrix) for matrix in matrices]
    groups = [g for g in groups if hdf5 or not isinstance(g, h5py.HLObject)]
    places = [g.file.filename if isinstance(g, h5py.HLObject) else getattr(g.store, "root", None) for g in groups]
    return {Path(place).resolve() for place in places if place is not None}


def rows_of(data: AnnData | MuData, name: str) -> np.ndarray:
    """Row of every cell in a modality, -1 where there is none: by ``obsmap`` alone, never the values; ``(n_cells,)``."""
    if isinstance(data, AnnData):
        return np.arange(data.n_obs)
    if name not in data.mod:
        return np.full(data.n_obs, -1)
    return np.asarray(data.obsmap[name]).astype(np.int64).ravel() - 1


def presence_of(data: AnnData | MuData, names: list[str]) -> np.ndarray:
    """Which cells have which modality, boolean, ``(n_cells, n_modalities)``."""
    return np.stack([rows_of(data, name) >= 0 for name in names], axis=1)


def numbers_of(data: AnnData | MuData, indices: Sequence[int] | Sequence[bool] | np.ndarray | None) -> np.ndarray:
    """Numbers of the cells that ``indices`` names by number or as a mask of all cells, ``(n_cells,)``; all if ``None``."""
    everything = np.arange(data.n_obs)
    chosen = everything if indices is None else np.asarray(indices)
    if chosen.size == 0:
        chosen = chosen.astype(int)
    fault = f"{chosen.ndim} dimensions"
    if chosen.ndim == 1:
        try:
            return everything[chosen]
        except IndexError as error:
            fault = str(error)
    msg = (
        f"Expected indices as numbers of cells or as a mask of all {data.n_obs} cells; got {reprlib.repr(indices)} "
        f"({fault}). For names, give obs_names.get_indexer(names)."
    )
    raise ValueError(msg)


def pattern_names(presence: np.ndarray, names: list[str]) -> np.ndarray:
    """What each cell has, in words such as ``"rna+protein"``, ``(n_cells,)``."""
    codes, inverse = np.unique(presence, axis=0, return_inverse=True)
    words = ["+".join(np.asarray(names)[row]) or "nothing" for row in codes]
    return np.asarray(words, dtype=object)[np.ravel(inverse)]


def graph_of(data: AnnData | MuData) -> sp.csr_matrix | None:
    """Neighbours in space, none its own, ``(n_cells, n_cells)``, of the data or the first modality that has a graph."""
    having = [name for name, adata in modalities_of(data).items() if CONNECTIVITIES in adata.obsp]
    if CONNECTIVITIES in data.obsp:
        graph = sp.csr_matrix(data.obsp[CONNECTIVITIES])
    elif having:
        own, rows = sp.coo_matrix(modalities_of(data)[having[0]].obsp[CONNECTIVITIES]), rows_of(data, having[0])
        # The cells' numbers in place of the modality's rows.
        cells = np.empty(own.shape[0], dtype=np.int64)
        cells[rows[rows >= 0]] = np.flatnonzero(rows >= 0)
        graph = sp.csr_matrix((own.data, (cells[own.row], cells[own.col])), shape=(len(rows), len(rows)))
    else:
        return None
    graph = graph.astype(np.float32)
    graph.sum_duplicates()
    graph.setdiag(0)
    graph.eliminate_zeros()
    return graph


def graph_faults(data: AnnData | MuData) -> list[str]:
    """What makes a graph none of neighbours in space."""
    graph = graph_of(data)
    if graph is None:
        return []
    if n_wrong := int((~(graph.data >= 0) | np.isinf(graph.data)).sum()):
        fault = f"{n_wrong:,} weights that are negative or not finite"
    elif n_lone := abs(graph - graph.T).count_nonzero():
        fault = f"{n_lone:,} edges that lead one way only, or with another weight back"
    else:
        return []
    return [f"obsp['{CONNECTIVITIES}'] has {fault}. Make the graph with mmvae.pp.spatial, or as (a + a.T) / 2."]


def some_of(numbers: np.ndarray | int, most: int | None) -> np.ndarray:
    """At most so many of the numbers, or of those below one, at random, ascending; always the same ones."""
    return np.sort(np.random.default_rng(0).permutation(numbers)[:most])


def within(graph: sp.csr_matrix, members: np.ndarray) -> sp.csr_matrix:
    """The graph with no edges but those between ``members``, boolean, ``(n_cells,)``."""
    keep = sp.diags(members.astype(graph.dtype))
    inside = sp.csr_matrix(keep @ graph @ keep)
    inside.eliminate_zeros()
    return inside


def reach(graph: sp.csr_matrix, n_steps: int) -> sp.csr_matrix:
    """Which cells are at most so many steps along the graph from each, itself left out, 1 each, ``(n_cells, n_cells)``."""
    step = (graph != 0).astype(np.float32)
    found = step
    for _ in range(n_steps - 1):
        found = ((found @ step + found) != 0).astype(np.float32)
    found.setdiag(0)
    found.eliminate_zeros()
    return found


def size_of(data: MuData | AnnData) -> int:
    """Bytes that a file takes, hardly less than this: text takes more in memory, and what HDF5 adds is allowed for."""
    if isinstance(data, AnnData):
        return int(ADDED * data.__sizeof__()) + MARGIN
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that modalities share
        own = AnnData(obs=data.obs, var=data.var, obsm=dict(data.obsm), obsp=dict(data.obsp), uns=data.uns)
    return sum(map(size_of, (own, *data.mod.values())))
