"""Training on data modules: mmvae's own, whose values are in files, and any that yields the same entries."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import anndata as ad
import numpy as np
import pytest
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, IterableDataset

import mmvae
from mmvae import MosaicDataModule, MultiVAE
from mmvae._compat import unpulled
from mmvae.data import MosaicStream

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mudata import MuData

N_CELLS = 300
SMALL = {"n_hidden": 16, "n_latent": 3}
BLOCKS = {"batch_size": 32, "block_cells": 8, "buffer_cells": 128}


@pytest.fixture(scope="module")
def mosaic() -> MuData:
    """Cells that lack a modality, some of them with a label."""
    mdata = mmvae.datasets.simulate(N_CELLS, modalities={"rna": 40, "protein": 8}, n_batches=2, missing=0.4)
    mdata.obs["label"] = mdata.obs["cluster"].astype(str).where(np.arange(N_CELLS) % 3 > 0, "unknown")
    mdata.obs["depth"] = 1.0 + np.arange(N_CELLS) % 5
    return mdata


@pytest.fixture(scope="module")
def path(mosaic, tmp_path_factory) -> Path:
    """The mosaic's file."""
    path = tmp_path_factory.mktemp("mosaic") / "mosaic.h5mu"
    with unpulled():
        mosaic.write_h5mu(path)
    return path


@pytest.fixture
def opened(path) -> Callable[..., MuData]:
    """Function that opens the file and registers what is in it."""

    def read(**kwargs) -> MuData:
        mdata = mmvae.pp.read_backed(path)
        MultiVAE.setup_mudata(mdata, **{"batch_key": "batch", "labels_key": "label"} | kwargs)
        return mdata

    return read


@pytest.fixture
def foreign(mosaic) -> Callable[..., Foreign]:
    """Function that makes a data module of minibatches in memory, which knows nothing of mmvae."""

    def make(**kwargs) -> Foreign:
        own = MosaicDataModule(registered(mosaic, **kwargs), batch_size=32)
        return Foreign(list(own.train_dataloader()), list(own.val_dataloader()), own.registry)

    return make


class Foreign(LightningDataModule):
    """What any data module has."""

    def __init__(self, train, validation, registry) -> None:
        super().__init__()
        self.train, self.validation, self.registry = train, validation, registry
        self.n_obs = sum(len(batch["present"]) for batch in train + validation)

    def train_dataloader(self):
        return DataLoader(self.train, batch_size=None)

    def val_dataloader(self):
        return DataLoader(self.validation, batch_size=None)


class Unsized(IterableDataset):
    """Minibatches, of which it does not say how many there are."""

    def __init__(self, batches) -> None:
        self.batches = batches

    def __iter__(self):
        return iter(self.batches)


def registered(mdata: MuData, **kwargs) -> MuData:
    """A copy, registered, its cells in their order."""
    with unpulled():
        mdata = mdata.copy()
    MultiVAE.setup_mudata(mdata, **{"batch_key": "batch", "labels_key": "label"} | kwargs)
    return mdata


def fit(model: MultiVAE, epochs: int = 3, **kwargs) -> MultiVAE:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        model.train(epochs, **{"accelerator": "cpu", "enable_progress_bar": False} | kwargs)
    return model


def test_a_model_of_a_registry_trains_and_reads(opened):
    data = MosaicDataModule(opened(), **BLOCKS)
    model = fit(MultiVAE(registry=data.registry, **SMALL), 5, datamodule=data)
    losses = model.history_["elbo_train"].to_numpy(dtype=float).ravel()
    assert losses[-1] < losses[0]
    assert model.best_epoch_ is not None
    assert np.array_equal(model.train_indices, data.train_idx)
    assert all(prior.is_initialised for prior in model.module.priors.values())
    latent = model.get_latent_representation(dataloader=data.inference_dataloader(batch_size=50))
    assert latent.shape == (N_CELLS, 6)
    assert np.allclose(latent, model.get_latent_representation(), atol=1e-5)


def test_one_modality_in_a_file_is_an_anndata(mosaic, tmp_path):
    mosaic["rna"].write_h5ad(tmp_path / "rna.h5ad")
    adata = ad.read_h5ad(tmp_path / "rna.h5ad", backed="r")
    MultiVAE.setup_anndata(adata)
    data = MosaicDataModule(adata, **BLOCKS)
    model = fit(MultiVAE(registry=data.registry, **SMALL), datamodule=data)
    latent = model.get_latent_representation(dataloader=data.inference_dataloader())
    assert latent.shape == (adata.n_obs, 3)
    assert np.allclose(latent, model.get_latent_representation(adata.to_memory()), atol=1e-5)


def test_a_query_in_files_is_mapped(path, mosaic):
    reference = fit(MultiVAE(registered(mosaic), **SMALL), batch_size=32)
    mdata = mmvae.pp.read_backed(path)
    mdata.obs["batch"] = "new"
    query = fit(MultiVAE.load_query_data(mdata, reference), batch_size=32)
    assert query.get_latent_representation().shape == (N_CELLS, 6)


def test_loaders_without_a_length_are_taken(foreign, capsys):
    module = foreign()
    module.train_dataloader = lambda: DataLoader(Unsized(module.train), batch_size=None)
    model = fit(MultiVAE(registry=module.registry, **SMALL), datamodule=module, enable_progress_bar=True)
    assert len(model.history_["elbo_train"]) == 3
    assert "An epoch takes" not in "".join(capsys.readouterr())


@pytest.mark.parametrize("adopted", [True, False], ids=["datamodule", "own data"])
def test_values_in_files_train_like_values_in_memory(opened, mosaic, adopted, monkeypatch):
    mdata = registered(mosaic, size_factor_keys={"rna": "depth"})
    expected = fit(MultiVAE(mdata, **SMALL), 15, batch_size=32)
    passes = []
    monkeypatch.setattr(MosaicStream, "_loads", lambda self, own=MosaicStream._loads: passes.append(self) or own(self))
    mdata = opened(size_factor_keys={"rna": "depth"})
    if adopted:
        data = MosaicDataModule(mdata, **BLOCKS)
        model = fit(MultiVAE(registry=data.registry, **SMALL), 15, datamodule=data)
    else:
        model = fit(MultiVAE(mdata, **SMALL), 15, batch_size=32)
    assert sum(stream.shuffle for stream in passes) == 15
    assert np.array_equal(model.train_indices, expected.train_indices)
    ends = [float(m.history_["elbo_validation"].iloc[-1, 0]) for m in (model, expected)]
    start = float(expected.history_["elbo_validation"].iloc[0, 0])
    assert abs(ends[0] - ends[1]) < 0.1 * (start - ends[1])
    for name in ("rna", "protein"):
        assert np.isclose(model.module.size_factor_scale[name].item(), expected.module.size_factor_scale[name].item())


def test_the_same_seed_gives_the_same_model(opened):
    latents = []
    for _ in range(2):
        data = MosaicDataModule(opened(), **BLOCKS)
        latents.append(fit(MultiVAE(registry=data.registry, **SMALL), datamodule=data).get_latent_representation())
    assert np.array_equal(*latents)


def test_sizes_follow_the_number_of_cells(opened):
    registry = MosaicDataModule(opened(), **BLOCKS).registry
    for field in ("X_rna", "X_protein"):
        registry["field_registries"][field]["state_registry"]["n_obs"] = 50_000
    assert MultiVAE(registry=registry).module.network.n_hidden == 256


def test_a_saved_model_is_loaded_without_data_and_with_them(opened, tmp_path):
    data = MosaicDataModule(opened(), **BLOCKS)
    model = fit(MultiVAE(registry=data.registry, **SMALL), datamodule=data)
    expected = model.get_latent_representation()
    model.save(tmp_path / "model")
    bare = MultiVAE.load(tmp_path / "model", adata=False)
    found = bare.get_latent_representation(dataloader=data.inference_dataloader())
    assert np.allclose(found, expected, atol=1e-5)
    assert np.allclose(MultiVAE.load(tmp_path / "model", opened()).get_latent_representation(), expected, atol=1e-5)
    again = fit(bare, 2, datamodule=MosaicDataModule(opened(), **BLOCKS))
    assert len(again.history_["elbo_train"]) >= 2


def test_a_data_module_of_another_trains(foreign):
    data = foreign()
    model = fit(MultiVAE(registry=data.registry, **SMALL), 5, datamodule=data)
    losses = model.history_["elbo_train"].to_numpy(dtype=float).ravel()
    assert losses[-1] < losses[0]
    assert "elbo_validation" in model.history_
    assert model.best_epoch_ is not None
    assert all(prior.is_initialised for prior in model.module.priors.values())
    assert (model.get_reliability() < 1).all()
    assert model.get_latent_representation(dataloader=data.validation).shape == (30, 6)
    assert model.adata is None


def test_several_loaders_of_validation_cells_are_read(foreign, monkeypatch):
    data = foreign()
    monkeypatch.setattr(Foreign, "val_dataloader", lambda own: [DataLoader(own.validation, batch_size=None)])
    model = fit(MultiVAE(registry=data.registry, **SMALL), 2, datamodule=data)
    assert (model.get_modality_weights()["weight"] > 0).all()


def test_what_fails_in_the_validation_cells_is_raised_and_the_model_is_whole(foreign, monkeypatch):
    data = foreign()
    model = MultiVAE(registry=data.registry, **SMALL)

    def fails(own):
        if model.history_ is None:  # not the loader of the training itself, which was asked for before
            return DataLoader(own.validation, batch_size=None)
        msg = "the file is gone"
        raise OSError(msg)

    monkeypatch.setattr(Foreign, "val_dataloader", fails)
    with pytest.raises(OSError, match="the file is gone"):
        fit(model, 2, datamodule=data)
    assert model.is_trained_
    assert (model.get_modality_weights()["weight"] > 0).all()


def test_likelihoods_start_alike_from_a_sample_and_from_the_data(foreign, mosaic):
    mdata = registered(mosaic, size_factor_keys={"rna": "depth"})
    own = MosaicDataModule(mdata, train_size=1.0, batch_size=32)
    models = [MultiVAE(registry=own.registry, **SMALL), MultiVAE(registry=own.registry, **SMALL)]
    modules = [own, Foreign(list(own.train_dataloader()), [], own.registry)]
    for model, data in zip(models, modules, strict=True):
        model._init_from(model._cells_of(data))
    weights = [dict(model.module.named_buffers()) | dict(model.module.named_parameters()) for model in models]
    assert models[0].module.size_factor_scale["rna"].item() != 1
    for name, value in weights[0].items():
        assert np.allclose(value.detach(), weights[1][name].detach(), rtol=1e-4), name


def test_labels_are_learnt_from_a_data_module_of_another(foreign, mosaic):
    data = foreign()
    model = fit(MultiVAE(registry=data.registry, **SMALL), 15, datamodule=data)
    found = model.predict(mdata := registered(mosaic))
    assert (found == mdata.obs["cluster"]).mean() > 2 / mdata.obs["cluster"].nunique()


def test_a_failure_names_a_cell_by_its_number(foreign, monkeypatch):
    monkeypatch.setattr("mmvae.model._cells.SAMPLE_CELLS", 32)
    data = foreign()
    data.train[2]["X_rna"] = data.train[2]["X_rna"] * np.inf
    with pytest.raises(mmvae.TrainingDivergedError, match=f"cells such as '{int(data.train[2]['ind_x'][0])}'"):
        fit(MultiVAE(registry=data.registry, **SMALL), datamodule=data)


def test_what_a_data_module_lacks_is_named(foreign):
    data = foreign()
    for batch in data.train:
        del batch["rows_rna"]
    with pytest.raises(ValueError, match="got none of \\['rows_rna'\\]"):
        fit(MultiVAE(registry=data.registry, **SMALL), datamodule=data)
    del data.n_obs
    with pytest.raises(ValueError, match="n_train or n_obs"):
        fit(MultiVAE(registry=data.registry, **SMALL), datamodule=data)


def test_priors_that_look_at_neighbours_need_more_than_minibatches(foreign):
    data = foreign()
    with pytest.raises(ValueError, match="got 'gmrf'"):
        fit(MultiVAE(registry=data.registry, prior="gmrf", **SMALL), datamodule=data)


def test_a_model_with_data_takes_no_others(opened, mosaic):
    mdata = registered(mosaic)
    with pytest.raises(ValueError, match="Expected a model without data"):
        fit(MultiVAE(mdata, **SMALL), datamodule=MosaicDataModule(opened(), **BLOCKS))


def test_data_of_other_categories_are_refused(opened):
    registry = MosaicDataModule(opened(batch_key=None), **BLOCKS).registry
    with pytest.raises(ValueError, match="features and categories that the model was built for"):
        fit(MultiVAE(registry=registry, **SMALL), datamodule=MosaicDataModule(opened(), **BLOCKS))


def test_what_the_data_module_decides_is_no_argument_of_train(opened):
    data = MosaicDataModule(opened(), **BLOCKS)
    given = {"batch_size": 16, "train_size": 0.5, "validation_size": 0.2, "split_by": "cells"}
    for name, value in given.items():
        with pytest.raises(ValueError, match=f"Expected {name} as arguments of the data module"):
            fit(MultiVAE(registry=data.registry, **SMALL), datamodule=data, **{name: value})


def test_a_dataloader_that_is_used_up_is_named(opened):
    data = MosaicDataModule(opened(), **BLOCKS)
    model = fit(MultiVAE(registry=data.registry, **SMALL), 1, datamodule=data)
    once = iter(data.inference_dataloader())
    assert len(model.get_latent_representation(dataloader=once)) == data.n_obs
    for loader in (once, data.inference_dataloader([])):
        with pytest.raises(ValueError, match="Expected a dataloader with cells"):
            model.get_latent_representation(dataloader=loader)
