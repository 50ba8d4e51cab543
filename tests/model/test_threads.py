"""Threads that read one model see what one alone sees; a model in training is neither read nor trained by another."""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback

import mmvae
from mmvae import MultiVAE

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

QUIET = {"accelerator": "cpu", "enable_progress_bar": False, "logger": False, "enable_checkpointing": False}
READERS = {
    "latents": lambda model: model.get_latent_representation(batch_size=7),
    "variances of draws": lambda model: model.get_latent_representation(batch_size=7, return_dist=True)[1],
    "one left out": lambda model: model.leave_one_out(batch_size=7).to_numpy(),
    "components": lambda model: model.get_responsibilities(modality="rna", batch_size=7).to_numpy(),
    "a part": lambda model: model.get_latent_representation(indices=range(5)),
}


@pytest.fixture(scope="module")
def model():
    mdata = mmvae.datasets.simulate(40, modalities={"rna": 12, "protein": 5}, n_clusters=2, missing=0.3)
    MultiVAE.setup_mudata(mdata, likelihoods={"protein": "nb_mixture"})
    model = MultiVAE(mdata, n_latent=2, n_hidden=4, fusion="attention")
    model.train(2, **QUIET)
    return model


def test_threads_read_what_one_alone_reads(model):
    expected = {name: read(model) for name, read in READERS.items()}
    before = torch.get_rng_state()
    with ThreadPoolExecutor(4) as threads:
        found = [(name, threads.submit(READERS[name], model)) for name in 4 * list(READERS)]
        for name, values in found:
            np.testing.assert_array_equal(values.result(), expected[name], err_msg=name)
    assert torch.equal(torch.get_rng_state(), before)


class Meanwhile(Callback):
    """Does something in another thread while an epoch is trained, and keeps what came of it."""

    def __init__(self, *calls):
        self.calls = calls

    def on_train_epoch_start(self, trainer, pl_module):
        with ThreadPoolExecutor(1) as other:
            self.errors = [other.submit(call).exception() for call in self.calls]
        self.is_training = pl_module.module.training


def test_a_model_in_training_is_left_alone_by_other_threads(model, tmp_path):
    calls = Meanwhile(
        model.get_latent_representation,
        lambda: model.get_elbo(),
        lambda: model.train(1, **QUIET),
        lambda: model.impute("rna"),
        lambda: model.save(tmp_path / "model"),
        lambda: copy.deepcopy(model),
    )
    model.train(1, callbacks=[calls], **QUIET)
    assert [type(error) for error in calls.errors] == [RuntimeError] * 6
    assert all("no other thread trains" in str(error) for error in calls.errors)
    assert calls.is_training
    assert not list(tmp_path.iterdir())
    assert np.isfinite(model.get_latent_representation()).all()


def test_a_training_that_fails_leaves_the_model_to_other_threads(model):
    class Fails(Callback):
        def on_train_epoch_start(self, trainer, pl_module):
            raise ValueError

    with pytest.raises(ValueError, match=""):
        model.train(1, callbacks=[Fails()], **QUIET)
    with ThreadPoolExecutor(1) as other:
        assert np.isfinite(other.submit(model.get_latent_representation).result()).all()
