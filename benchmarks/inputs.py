"""Which cell has what, and the same cells for methods that want every modality of every cell.

C cells, M modalities.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import anndata as ad
import mudata
import numpy as np
import scipy.sparse as sp

from .data import unpulled

if TYPE_CHECKING:
    from mudata import MuData


def rows(mdata: MuData, name: str) -> np.ndarray:
    """Row of each cell in a modality, -1 where the cell lacks it, ``(C,)``."""
    return mdata.mod[name].obs_names.get_indexer(mdata.obs_names)


def presence(mdata: MuData) -> np.ndarray:
    """Whether each cell has each modality, ``(C, M)``."""
    return np.stack([rows(mdata, name) >= 0 for name in mdata.mod], axis=1)


def is_mosaic(mdata: MuData) -> bool:
    """Whether some cell lacks a modality."""
    return not presence(mdata).all()


def is_counts(mdata: MuData) -> bool:
    """Whether all values are whole numbers."""
    return all(_whole(adata.X) for adata in mdata.mod.values())


def patterns(mdata: MuData) -> np.ndarray:
    """What each cell has, in words, such as ``"rna+protein"``, ``(C,)``."""
    names = np.array(list(mdata.mod))
    return np.array(["+".join(names[has]) for has in presence(mdata)])


def padded(mdata: MuData, like: MuData) -> dict[str, ad.AnnData]:
    """Each modality of ``like`` for all cells of ``mdata``, in their order; zeros where a cell lacks it.

    In one order, since models that take a MuData may pair the first rows of the modalities with each other.
    """
    return {name: _padded(mdata, name, adata) for name, adata in like.mod.items()}


def dense(adata: ad.AnnData) -> ad.AnnData:
    """The same with a matrix that is not sparse."""
    adata.X = sp.csr_matrix(adata.X).toarray()
    return adata


def joined(modalities: dict[str, ad.AnnData]) -> MuData:
    """A MuData of modalities that have the same cells in the same order."""
    with unpulled():
        mdata = mudata.MuData(modalities)
    first = next(iter(modalities.values()))
    mdata.obs = first.obs.loc[mdata.obs_names].copy()
    return mdata


def selected(mdata: MuData, kept: dict[str, np.ndarray]) -> MuData:
    """The cells that are marked in ``kept``, boolean ``(C,)`` for each modality to keep.

    Cells without any modality left are gone; the others keep their columns.
    """
    modalities = {}
    for name, wanted in kept.items():
        own = rows(mdata, name)
        modalities[name] = mdata.mod[name][own[wanted & (own >= 0)]].copy()
    with unpulled():
        chosen = mudata.MuData(modalities)
    chosen.obs = mdata.obs.loc[chosen.obs_names].copy()
    return chosen


def _padded(mdata: MuData, name: str, like: ad.AnnData) -> ad.AnnData:
    values = sp.csr_matrix((mdata.n_obs, like.n_vars), dtype=np.float32)
    if name in mdata.mod:
        own = rows(mdata, name)
        found = np.flatnonzero(own >= 0)
        place = sp.csr_matrix(
            (np.ones(len(found), dtype=np.float32), (found, own[found])), (mdata.n_obs, own.max() + 1)
        )
        values = place @ sp.csr_matrix(mdata.mod[name].X, dtype=np.float32)[: own.max() + 1]
    return ad.AnnData(sp.csr_matrix(values), obs=mdata.obs.copy(), var=like.var[[]].copy())


def _whole(matrix: object) -> bool:
    values = matrix.data if sp.issparse(matrix) else np.asarray(matrix)
    return bool(np.array_equal(values, np.round(values)))
