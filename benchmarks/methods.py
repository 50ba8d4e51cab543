"""The methods that are compared: mmvae with its defaults, and two that have nothing to train."""

from __future__ import annotations

from dataclasses import dataclass, field
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import anndata as ad
import mudata
import numpy as np

from . import linear
from .graph import Neighbours

if TYPE_CHECKING:
    from collections.abc import Callable

    from mudata import MuData

    from .data import DataSet

N_WNN_NEIGHBORS = 90
LATENT = "X_mmvae"


@dataclass
class Outcome:
    """Readouts by name (an embedding or neighbours), a note for the table, and a check to run once time is taken."""

    readouts: dict[str, np.ndarray | Neighbours] = field(default_factory=dict)
    note: str = ""
    check: Callable[[], None] = lambda: None


class NotApplicableError(Exception):
    """The method can't take these data."""


def run_mmvae(mdata: MuData, data_set: DataSet, seed: int) -> Outcome:
    """The model with its defaults, and its readouts ``fused`` and ``shared``."""
    import mmvae

    mmvae.MultiVAE.setup_mudata(mdata, batch_key=data_set.batch)
    model = mmvae.MultiVAE(mdata, seed=seed)
    model.train(enable_progress_bar=False)
    latent = model.get_latent_representation()
    outcome = Outcome({"fused": latent}, check=lambda: _check(model, mdata, latent))
    try:
        outcome.readouts["shared"] = model.get_latent_representation(representation="shared")
    except ValueError as error:
        outcome.note = f"shared: {error}"
    return outcome


def run_pca(mdata: MuData, data_set: DataSet, seed: int) -> Outcome:
    """Principal components of each modality, side by side."""
    note = "missing blocks filled with the block's mean" if is_mosaic(mdata) else ""
    return Outcome({"concatenated": linear.concatenated(mdata, linear.components(mdata))}, note)


def run_wnn(mdata: MuData, data_set: DataSet, seed: int) -> Outcome:
    """Weighted nearest neighbours, from the same components as :func:`run_pca`.

    Raises
    ------
    NotApplicableError
        If some cell lacks a modality.
    """
    import muon as mu
    import scanpy as sc

    if is_mosaic(mdata):
        msg = "WNN needs complete cells"
        raise NotApplicableError(msg)
    small = mudata.MuData({n: _unit(block, mdata, n) for n, block in linear.components(mdata).items()})
    for adata in small.mod.values():
        sc.pp.neighbors(adata, use_rep="X", n_neighbors=20, random_state=0)
    mu.pp.neighbors(small, n_neighbors=N_WNN_NEIGHBORS, random_state=0)
    return Outcome({"graph": _neighbours(small)})


METHODS = {"mmvae": run_mmvae, "pca": run_pca, "wnn": run_wnn}


def is_mosaic(mdata: MuData) -> bool:
    """Whether some cell lacks a modality."""
    return any((np.asarray(mdata.obsmap[name]) == 0).any() for name in mdata.mod)


def _unit(block: np.ndarray, mdata: MuData, name: str) -> ad.AnnData:
    """A block in the order of ``mdata``, each row of length 1, as WNN wants it."""
    rows = np.asarray(mdata.obsmap[name]).ravel().astype(int) - 1
    lengths = np.linalg.norm(block, axis=1, keepdims=True)
    return ad.AnnData((block / np.where(lengths > 0, lengths, 1))[rows], obs=mdata.obs[[]].copy())


def _neighbours(small: MuData) -> Neighbours:
    graph = small.obsp["distances"].tocsr()
    n_cells = graph.shape[0]
    distances, indices = graph.data.reshape(n_cells, -1), graph.indices.reshape(n_cells, -1)
    order = np.argsort(distances, axis=1, kind="stable")
    return Neighbours(np.take_along_axis(indices, order, axis=1), np.take_along_axis(distances, order, axis=1))


def _check(model: object, mdata: MuData, latent: np.ndarray) -> None:
    """What a user does next: neighbours, UMAP, save, load; a loaded model gives the same latents."""
    import scanpy as sc

    assert latent.shape[0] == mdata.n_obs
    assert np.isfinite(latent).all()
    mdata.obsm[LATENT] = latent
    sc.pp.neighbors(mdata, use_rep=LATENT)
    sc.tl.umap(mdata)
    assert np.isfinite(mdata.obsm["X_umap"]).all()
    with TemporaryDirectory() as folder:
        model.save(folder, overwrite=True)
        loaded = type(model).load(folder, adata=mdata)
    np.testing.assert_allclose(loaded.get_latent_representation(), latent, atol=1e-5)
