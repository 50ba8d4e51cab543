"""Values in files are read in blocks: every cell once, each with its own values, whatever holds them."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import pytest
import scipy.sparse as sp
import torch

import mmvae
from mmvae import MosaicDataModule, MultiVAE
from mmvae._compat import unpulled
from mmvae._keys import CELLS, PRESENT
from mmvae.data import rows_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from mudata import MuData

N_CELLS, BATCH, BLOCK, BUFFER = 300, 16, 8, 64
FORMS = ["h5ad", "zarr", "h5mu", "zarr MuData"]


@pytest.fixture(scope="module")
def mosaic() -> MuData:
    """Cells that lack a modality, whose rows are in another order than the cells."""
    mdata = mmvae.datasets.simulate(N_CELLS, modalities={"rna": 30, "protein": 6}, n_batches=2, missing=0.4)
    rows = rows_of(mdata, "rna")
    assert np.any(np.diff(rows[rows >= 0]) < 0)
    return mdata


@pytest.fixture(scope="module", params=FORMS)
def on_disk(request, mosaic, tmp_path_factory) -> Callable[[], MuData]:
    """Function that opens the mosaic, registered, its values in files of one form."""
    source = written(mosaic, tmp_path_factory.mktemp("mosaic"), request.param)

    def opened() -> MuData:
        mdata = mmvae.pp.read_backed(source)
        mdata.obs["batch"] = mosaic.obs["batch"].reindex(mdata.obs_names)
        MultiVAE.setup_mudata(mdata, batch_key="batch")
        return mdata

    return opened


def written(mdata: MuData, folder: Path, form: str) -> Path | dict[str, Path]:
    with unpulled(), warnings.catch_warnings():
        # anndata and mudata announce changes of the files' format
        warnings.simplefilter("ignore")
        if form == "h5mu":
            mdata.write_h5mu(folder / "m.h5mu")
            return folder / "m.h5mu"
        if form == "zarr MuData":
            mdata.write_zarr(folder / "m.zarr")
            return folder / "m.zarr"
        for name, adata in mdata.mod.items():
            getattr(adata, f"write_{form}")(folder / f"{name}.{form}")
    return {name: folder / f"{name}.{form}" for name in mdata.mod}


def module(mdata: MuData, **kwargs) -> MosaicDataModule:
    return MosaicDataModule(mdata, **{"batch_size": BATCH, "block_cells": BLOCK, "buffer_cells": BUFFER} | kwargs)


def cells(loader: Iterable) -> np.ndarray:
    return np.concatenate([batch[CELLS].numpy() for batch in loader])


def values(batch, mdata: MuData, name: str) -> np.ndarray:
    """A modality's values in a minibatch, as a matrix."""
    found = batch[f"X_{name}"].numpy()
    if found.ndim == 2:
        return found
    parts = (found, batch[f"columns_{name}"].numpy(), batch[f"starts_{name}"].numpy())
    return sp.csr_matrix(parts, shape=(len(batch[f"rows_{name}"]), mdata[name].n_vars)).toarray()


def in_memory(mdata: MuData, name: str, names) -> np.ndarray:
    found = mdata[name][names].X
    return found.toarray() if sp.issparse(found) else np.asarray(found)


def test_an_epoch_has_each_training_cell_once_with_its_own_values(on_disk, mosaic):
    data = module(mdata := on_disk())
    batches = list(data.train_dataloader())
    assert np.array_equal(np.sort(cells(batches)), data.train_idx)
    for batch in batches:
        for index, name in enumerate(["rna", "protein"]):
            has = batch[PRESENT][:, index].numpy()
            assert np.array_equal(np.flatnonzero(has), batch[f"rows_{name}"].numpy())
            names = mdata.obs_names[batch[CELLS].numpy()[has]]
            assert np.array_equal(values(batch, mdata, name), in_memory(mosaic, name, names))
        of_batch = mosaic.obs["batch"].cat.codes[mdata.obs_names[batch[CELLS].numpy()]]
        assert np.array_equal(batch["batch"].numpy().ravel(), of_batch)


def test_presence_is_that_of_the_cells(on_disk, mosaic):
    batch = next(iter(module(mdata := on_disk()).inference_dataloader(batch_size=N_CELLS)))
    for index, name in enumerate(["rna", "protein"]):
        assert np.array_equal(batch[PRESENT][:, index].numpy(), mdata.obs_names.isin(mosaic[name].obs_names))


def test_validation_cells_come_once_and_in_order_and_are_none_of_training(on_disk):
    data = module(on_disk(), train_size=0.8)
    found = cells(data.val_dataloader())
    assert np.array_equal(found, data.val_idx)
    assert len(np.intersect1d(found, data.train_idx)) == 0
    assert len(found) + len(data.train_idx) == N_CELLS


@pytest.mark.parametrize("indices", [None, [5, 3, 200], np.arange(N_CELLS) % 3 == 0])
def test_inference_keeps_the_order_asked_for(on_disk, indices):
    found = cells(module(on_disk()).inference_dataloader(indices))
    assert np.array_equal(found, np.arange(N_CELLS) if indices is None else np.arange(N_CELLS)[indices])


@pytest.fixture(scope="module")
def one(mosaic, tmp_path_factory) -> MuData:
    """The mosaic in one form, for what does not depend on it."""
    mdata = mmvae.pp.read_backed(written(mosaic, tmp_path_factory.mktemp("one"), "h5mu"))
    MultiVAE.setup_mudata(mdata, batch_key="batch")
    return mdata


def test_orders_differ_between_epochs_and_come_from_the_seed(one):
    loader = module(one).train_dataloader()
    torch.manual_seed(0)
    first, second = cells(loader), cells(loader)
    assert not np.array_equal(first, second)
    torch.manual_seed(0)
    assert np.array_equal(cells(loader), first)


def test_minibatches_mix_blocks(one):
    first = next(iter(module(one).train_dataloader()))[CELLS].numpy()
    # Of 8 blocks of 8 training cells, which are a tenth farther apart; a minibatch of one block would span 9.
    assert len(np.unique(first // 9)) >= 4


def test_all_minibatches_but_the_last_are_full(one):
    loader = module(one, buffer_cells=70).train_dataloader()
    sizes = [len(batch[PRESENT]) for batch in loader]
    assert set(sizes[:-1]) == {BATCH}
    assert len(loader) == len(sizes)


def test_a_pass_may_end_early(one):
    loader = module(one).train_dataloader()
    assert len(next(iter(loader))[CELLS]) == BATCH
    assert len(cells(loader)) == len(module(one).train_idx)


def test_a_fault_of_reading_is_raised(one, monkeypatch):
    loader = module(one).train_dataloader()
    monkeypatch.setattr("mmvae.data._dataset.take_ascending", lambda *_: (_ for _ in ()).throw(OSError("gone")))
    with pytest.raises(OSError, match="gone"):
        next(iter(loader))


def test_without_validation_there_is_no_loader(one):
    assert module(one, train_size=1.0).val_dataloader() is None


def test_values_in_memory_are_drawn_one_by_one(mosaic):
    MultiVAE.setup_mudata(mosaic, batch_key="batch")
    data = module(mosaic)
    assert np.array_equal(np.sort(cells(data.train_dataloader())), data.train_idx)
    assert not hasattr(data.train_dataloader().dataset, "block_cells")


def test_arguments_are_checked(one):
    with pytest.raises(ValueError, match="block_cells as a whole number above 0; got 0"):
        module(one, block_cells=0)


def test_a_value_stored_in_parts_is_one_value_in_files(mosaic, tmp_path):
    whole = sp.csr_matrix(mosaic["rna"].X)
    parts = np.column_stack([whole.data, 2 * whole.data]).ravel()
    doubled = mosaic.copy()
    doubled["rna"].X = sp.csr_matrix((parts, whole.indices.repeat(2), 2 * whole.indptr), shape=whole.shape)
    for form in ("h5ad", "zarr"):
        (tmp_path / form).mkdir()
        mdata = mmvae.pp.read_backed(written(doubled, tmp_path / form, form))
        MultiVAE.setup_mudata(mdata)
        rows = rows_of(mdata, "rna")
        for batch in module(mdata).inference_dataloader(batch_size=100):
            own = rows[batch[CELLS].numpy()]
            np.testing.assert_array_equal(values(batch, mdata, "rna"), 3 * whole[own[own >= 0]].toarray())
        found = MultiVAE(mdata).adata_manager.statistics("rna")
        np.testing.assert_allclose(found.mean, 3 * whole.mean(axis=0).A1, rtol=1e-5)
