"""What no one holds any more is freed, and reading again and again takes no more memory than reading once."""

from __future__ import annotations

import gc
import itertools
import logging
import os
import time
import weakref
from collections import Counter

import numpy as np
import psutil
import pytest

import mmvae
from mmvae import MosaicDataModule, MultiVAE
from mmvae._compat import unpulled
from mmvae.train import KeepWeights

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

QUIET = {"accelerator": "cpu", "enable_progress_bar": False, "logger": False, "enable_checkpointing": False}
SIZES = {"rna": 12, "protein": 5}
# Bytes that the process may grow by once it has done everything twice, for what Python and torch keep for later.
GROWTH = 20 * 2**20


def simulated(n_cells=30, seed=0):
    return mmvae.datasets.simulate(n_cells, modalities=SIZES, n_clusters=2, n_batches=2, missing=0.3, seed=seed)


def trained(mdata=None):
    mdata = simulated() if mdata is None else mdata
    MultiVAE.setup_mudata(mdata, batch_key="batch")
    model = MultiVAE(mdata, n_latent=2, n_hidden=4)
    model.train(2, **QUIET)
    return model


@pytest.fixture(scope="module")
def model():
    return trained()


def loaded_again(model, folder):
    model.save(folder / "model", overwrite=True, save_anndata=False)
    return MultiVAE.load(folder / "model", model.adata, "cpu").get_latent_representation()


def mapped(model, folder):
    query = MultiVAE.load_query_data(simulated(20, 4), model)
    query.train(1, **QUIET)
    return query.get_latent_representation()


# By name, what is done with a model again and again; a folder may be written to.
CALLS = {
    "latents": lambda model, folder: model.get_latent_representation(),
    "shared latents": lambda model, folder: model.get_latent_representation(modality="shared"),
    "values": lambda model, folder: model.get_normalized_expression(modality="rna", library_size="latent"),
    "predictions": lambda model, folder: model.impute("protein"),
    "ELBO": lambda model, folder: model.get_elbo(),
    "draws": lambda model, folder: model.posterior_predictive_sample(modality="rna"),
    "other data": lambda model, folder: model.get_latent_representation(simulated(20, 3)),
    "a part of the data": lambda model, folder: model.get_latent_representation(model.adata[:10]),
    "set-up": lambda model, folder: MultiVAE.setup_mudata(simulated(20, 3), batch_key="batch"),
    "a new model": lambda model, folder: MultiVAE(model.adata, n_latent=2, n_hidden=4),
    "saving and loading": loaded_again,
    "a query": mapped,
    "training": lambda model, folder: model.train(1, **QUIET),
}


def living():
    """Number of living objects by type, without weak references, of which pandas keeps dead ones."""
    gc.collect()
    found = Counter(type(each).__name__ for each in gc.get_objects())
    for own in ("ReferenceType", "Counter"):  # the second are those that are made here
        del found[own]
    return found


@pytest.fixture
def unlogged():
    """Without the records of what is logged, which pytest keeps."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


def test_doing_it_again_leaves_nothing_behind(model, tmp_path, unlogged):
    rounds = []
    for _ in range(4):
        for call in CALLS.values():
            with unpulled():
                call(model, tmp_path)
        rounds.append(living())
    # What is loaded or remembered at first use may be more in some round, but not in each.
    later = list(itertools.pairwise(rounds[1:]))
    assert not [name for name in rounds[-1] if all(after[name] > before[name] for before, after in later)]


def test_the_weights_to_choose_from_are_freed(model):
    (keep,) = (callback for callback in model.trainer.callbacks if isinstance(callback, KeepWeights))
    assert not keep.chosen


@pytest.mark.parametrize("form", ["MuData", "AnnData"])
def test_a_model_and_its_data_are_freed(form):
    mdata = simulated()
    if form == "MuData":
        model = trained(mdata)
    else:
        mdata = mdata["rna"].copy()
        MultiVAE.setup_anndata(mdata)
        model = MultiVAE(mdata, n_latent=2, n_hidden=4)
        model.train(1, **QUIET)
    model.get_latent_representation()
    values = mdata["rna"].X if form == "MuData" else mdata.X
    parts = [weakref.ref(part) for part in (model, model.module, mdata, values)]
    del model, mdata, values
    gc.collect()
    assert [part() for part in parts] == [None] * len(parts)


def test_values_are_freed_where_the_model_has_minified_them():
    mdata = simulated()
    model = trained(mdata)
    model.get_latent_representation()
    parts = [weakref.ref(mdata), weakref.ref(mdata["rna"].X)]
    del mdata
    model.minify_mudata()
    model.trainer = None  # whose loaders are of the data of before
    gc.collect()
    assert [part() for part in parts] == [None, None]


def test_data_live_as_long_as_what_needs_them():
    model = trained()
    gc.collect()
    assert model.get_latent_representation().shape == (30, 4)
    data = simulated(20, 2)
    MultiVAE.setup_mudata(data)
    module = MosaicDataModule(data)
    del data
    gc.collect()
    assert sum(len(batch["present"]) for batch in module.inference_dataloader()) == module.n_obs == 20
    # Those of a view are held by the loader alone.
    with unpulled():
        assert len(model.get_latent_representation(model.adata[:7], batch_size=2)) == 7


def test_a_copy_that_has_taken_over_a_registration_keeps_it():
    mdata = simulated()
    MultiVAE.setup_mudata(mdata)
    with unpulled():
        copy = mdata.copy()
    MultiVAE.setup_mudata(copy)
    del mdata
    gc.collect()
    assert MultiVAE(copy, n_latent=2, n_hidden=4).adata is copy


def test_epochs_leave_nothing_behind(unlogged):
    counts = []
    for n_epochs in (1, 3, 12):
        model = trained()
        model.train(n_epochs, **QUIET)
        counts.append(living()["Tensor"])
        del model
    assert counts[1] == counts[2]


@pytest.mark.slow
def test_memory_is_flat_over_epochs(unlogged):
    sizes = []
    model = trained(simulated(300))
    for _ in range(5):
        model.train(40, early_stopping=False, **QUIET)
        gc.collect()
        sizes.append(psutil.Process().memory_info().rss)
    assert sizes[-1] - sizes[1] < GROWTH


@pytest.mark.slow
@pytest.mark.parametrize("call", CALLS)
def test_memory_is_flat_over_a_thousand_calls(call, tmp_path, unlogged):
    model, sizes = trained(), []
    for i in range(1_000):
        with unpulled():
            CALLS[call](model, tmp_path)
        if i % 100 == 99:
            gc.collect()
            sizes.append(psutil.Process().memory_info().rss)
    assert sizes[-1] - sizes[1] < GROWTH


@pytest.mark.slow
def test_a_soak(tmp_path, unlogged):
    """Everything in turn, for as many minutes as ``MMVAE_SOAK_MINUTES`` says."""
    end = time.monotonic() + 60 * float(os.environ.get("MMVAE_SOAK_MINUTES", 10))
    other, sizes = simulated(20, 3), []
    while time.monotonic() < end or len(sizes) < 3:
        model = trained()
        latents = model.get_latent_representation(), model.get_latent_representation(other)
        for call in set(CALLS) - {"training"}:
            with unpulled():
                CALLS[call](model, tmp_path)
        again = loaded_again(model, tmp_path), model.get_latent_representation(other)
        for one, two in zip(latents, again, strict=True):
            np.testing.assert_allclose(one, two, atol=1e-6)
        gc.collect()
        sizes.append(psutil.Process().memory_info().rss)
    assert sizes[-1] - sizes[1] < GROWTH
