"""What training does when it goes wrong, and what it says at the end."""

from __future__ import annotations

import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from lightning.pytorch.callbacks import Callback

import mmvae
from mmvae import MultiVAE, TrainingDivergedError
from mmvae.train import KeepWeights, training_report


@pytest.fixture
def mdata():
    return mmvae.datasets.simulate(80, modalities={"rna": 20, "protein": 6}, n_clusters=3, seed=0)


class Poison(Callback):
    """Spoils a weight before epoch ``epoch``."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_epoch_start(self, trainer, pl_module) -> None:
        if trainer.current_epoch == self.epoch:
            with torch.no_grad():
                pl_module.module.likelihoods["protein"].foreground.bias.fill_(float("nan"))


@pytest.mark.parametrize(("epoch", "state"), [(0, "initial weights"), (3, "weights of epoch 2")])
def test_a_loss_that_is_not_finite_stops_training_and_restores_the_weights(mdata, epoch, state, capsys):
    MultiVAE.setup_mudata(mdata, likelihoods={"protein": "nb_mixture"})
    model = MultiVAE(mdata, n_hidden=16)
    with pytest.raises(TrainingDivergedError) as caught:
        model.train(max_epochs=30, callbacks=[Poison(epoch)], enable_progress_bar=False)
    message = str(caught.value)
    assert "reconstruction of 'protein'" in message
    assert f"epoch {epoch}" in message
    assert state in message
    assert "'cell_" in message
    assert "lower lr" in message
    assert all(torch.isfinite(p).all() for p in model.module.parameters())
    if epoch:
        mmvae.tl.embed(model, mdata)
        assert np.isfinite(model.get_latent_representation()).all()


@pytest.mark.filterwarnings("ignore:The validation ELBO never", "ignore:The latent of 'rna'")
def test_a_modality_that_teaches_nothing_is_named(mdata):
    rng = np.random.default_rng(0)
    mdata.mod["protein"].X = rng.poisson(3.0, (80, 6)).astype(np.float32)
    MultiVAE.setup_mudata(mdata)
    model = MultiVAE(mdata, n_hidden=16)
    with pytest.warns(UserWarning, match="latent of 'protein' carries"):
        model.train(max_epochs=25, enable_progress_bar=False)


@pytest.mark.filterwarnings("ignore:The latent of", "ignore:The validation ELBO never")
def test_a_batch_that_coincides_with_what_is_missing_is_named(capsys):
    mdata = mmvae.datasets.simulate(
        90,
        modalities={"rna": 20, "protein": 6},
        n_clusters=3,
        n_batches=2,
        missing={"batch_1": "protein"},
    )
    MultiVAE.setup_mudata(mdata, batch_key="batch")
    assert "coincides with what is missing" in " ".join(capsys.readouterr().out.split())
    model = MultiVAE(mdata, n_hidden=16)
    with pytest.warns(UserWarning, match="coincides with what is missing"):
        model.train(max_epochs=2, enable_progress_bar=False)
    assert any("coincides" in line for line in model.training_report_)


def test_a_validation_bound_that_never_improves_is_named():
    for bounds, expected in (([10.0, 11.0, 12.0], True), ([10.0, 9.0, 12.0], False), ([10.0, 11.0], False)):
        history = {"objective_validation": pd.DataFrame({"objective_validation": bounds})}
        lines = training_report(history, {}, None, np.array([]))
        assert any("never improved" in line for line in lines) == expected


@pytest.mark.parametrize(("last", "expected"), [(75.0, ["best in epoch 1, .* 15.0 nats worse in epoch 9"]), (65.0, [])])
def test_an_epoch_much_worse_than_an_earlier_one_is_named(last, expected):
    keep = KeepWeights(torch.nn.Linear(1, 1), 9)
    for epoch, value in enumerate([100.0, 60.0, *[80.0] * 7, last]):
        keep.value = value
        keep.on_train_epoch_end(SimpleNamespace(current_epoch=epoch), None)
    for line, words in zip(keep.overtraining(), expected, strict=True):
        assert re.search(words, line)


@pytest.mark.filterwarnings("ignore:The latent of", "ignore:The validation ELBO never")
def test_the_weights_of_the_best_epoch_are_kept(mdata):
    MultiVAE.setup_mudata(mdata)
    model = MultiVAE(mdata, n_hidden=16)
    model.train(max_epochs=12, early_stopping=False, enable_progress_bar=False)
    validation = model.history_["objective_validation"].iloc[:, 0].astype(float).to_numpy()
    assert model.best_epoch_ == 4 + int(np.argmin(validation[4:]))
