"""The same cells in another order, or some of them alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mmvae.data import joined

if TYPE_CHECKING:
    from mudata import MuData

from .contents import OURS


def rearranged(mdata: MuData, cells: np.ndarray, seed: int) -> MuData:
    """A new MuData of ``cells``, by number, in that order; the rows of each modality are in an order of their own."""
    rng = np.random.default_rng(seed)
    names = mdata.obs_names[cells]
    modalities = {}
    for name, adata in mdata.mod.items():
        rows = np.flatnonzero(adata.obs_names.isin(names))
        if len(rows):
            modalities[name] = adata[rng.permutation(rows)].copy()
    obs = mdata.obs.iloc[cells]
    made = joined(modalities, obs[[key for key in obs if not str(key).startswith(OURS)]])
    for key, graph in mdata.obsp.items():
        made.obsp[key] = graph[cells][:, cells]
    return made
