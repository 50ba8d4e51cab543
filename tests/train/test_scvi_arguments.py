"""Arguments of scvi-tools' train act, or are refused in words."""

from __future__ import annotations

from inspect import signature

import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import LambdaCallback
from lightning.pytorch.loggers import CSVLogger
from scvi.model import SCVI
from scvi.train import TrainerConfig, TrainingPlanConfig

import mmvae
from mmvae import MultiVAE

pytestmark = pytest.mark.filterwarnings("ignore:The latent of", "ignore:The validation ELBO never")
CELLS = 40


@pytest.fixture(scope="module")
def registered():
    mdata = mmvae.datasets.simulate(CELLS, modalities={"rna": 12, "protein": 6}, n_clusters=3, seed=0)
    MultiVAE.setup_mudata(mdata)
    return mdata


@pytest.fixture
def model(registered):
    return MultiVAE(registered, n_hidden=4, n_latent=2, prior="normal")


def train(model, epochs=1, *args, **kwargs):
    """The model, and what its optimiser was told before the first step."""
    told = {}

    def look(trainer, plan):
        told.update(plan.optimizers().param_groups[0], warmup=plan.n_epochs_kl_warmup)

    seen = LambdaCallback(on_train_start=look)
    model.train(epochs, "cpu", *args, enable_progress_bar=False, callbacks=[seen], **kwargs)
    return told


def test_leading_arguments_are_in_the_order_of_scvi_tools():
    ours, theirs = list(signature(MultiVAE.train).parameters), list(signature(SCVI.train).parameters)
    named = [name for name in theirs if name not in ("self", "kwargs", "trainer_kwargs")]
    assert ours[1 : 1 + len(named)] == named


def test_accelerator_and_devices_may_be_given_by_place(model):
    model.train(1, "cpu", 1, 0.8, 0.1, enable_progress_bar=False)
    assert [len(model.train_indices_), len(model.validation_indices_), len(model.test_indices_)] == [32, 4, 4]


def test_without_shuffling_the_first_cells_validate_and_the_last_test(model):
    train(model, train_size=0.7, validation_size=0.2, shuffle_set_split=False)
    parts = model.validation_indices_, model.train_indices_, model.test_indices_
    assert [len(part) for part in parts] == [8, 28, 4]
    assert np.array_equal(np.concatenate(parts), np.arange(CELLS))


@pytest.mark.parametrize("place", ["argument", "datasplitter_kwargs"])
def test_cells_that_are_named_are_trained_and_validated_on(model, place):
    parts = [np.arange(20, 40), np.arange(5)]
    given = {"external_indexing": parts}
    train(model, **(given if place == "argument" else {"datasplitter_kwargs": given}))
    assert np.array_equal(model.train_indices_, parts[0])
    assert np.array_equal(model.validation_indices_, parts[1])
    assert np.array_equal(model.test_indices_, np.arange(5, 20))


@pytest.mark.parametrize(
    "parts", [[[0, 1], [1]], [[0, CELLS]], [[]], [[0], [1], [2], [3]]], ids=["twice", "none such", "empty", "four"]
)
def test_cells_that_cannot_be_split_so_are_refused(model, parts):
    with pytest.raises(ValueError, match="up to three lists of numbers of the 40 cells"):
        model.train(1, external_indexing=parts)
    assert not model.is_trained_


@pytest.mark.parametrize("other", [{"train_size": 0.5}, {"split_by": "batch"}, {"shuffle_set_split": False}])
def test_two_ways_to_split_are_refused(model, other):
    with pytest.raises(ValueError, match="external_indexing by itself; got"):
        model.train(1, external_indexing=[[0, 1]], **other)


def test_cells_that_are_not_shuffled_are_not_split_by_a_column(model):
    with pytest.raises(ValueError, match="shuffle_set_split=False without split_by; got split_by='batch'"):
        model.train(1, split_by="batch", shuffle_set_split=False)


def test_incomplete_minibatches_are_dropped_if_asked_for(model):
    steps = []
    for drop in (False, True):
        train(model, train_size=0.75, batch_size=7, datasplitter_kwargs={"drop_last": drop})
        steps.append(model.trainer.global_step)
    assert steps == [5, 4]


@pytest.mark.parametrize(
    ("given", "lr", "warmup"),
    [
        ({"plan_config": {"lr": 0.02, "n_epochs_kl_warmup": 7}}, 0.02, 7),
        ({"plan_config": TrainingPlanConfig(lr=0.02, n_epochs_kl_warmup=7)}, 0.02, 7),
        ({"plan_config": TrainingPlanConfig(lr=0.02)}, 0.02, 1),  # what is scvi-tools' default says nothing
        ({"plan_config": {"lr": 0.02}, "plan_kwargs": {"lr": 0.03}}, 0.03, 1),
        ({"plan_config": {"lr": 0.02}, "lr": 0.03}, 0.03, 1),
        ({"n_epochs_kl_warmup": 7, "n_steps_kl_warmup": None}, 2e-3, 7),
    ],
    ids=["mapping", "config", "part of a config", "plan_kwargs first", "lr first", "as in MULTIVI"],
)
def test_the_plan_is_told(model, given, lr, warmup):
    told = train(model, **given)
    assert told["initial_lr"] == pytest.approx(lr)
    assert told["warmup"] == warmup
    assert told["eps"] == 1e-8


def test_weight_decay_and_eps_reach_the_optimiser(model):
    told = train(model, weight_decay=0.5, eps=1e-3, plan_kwargs={"loading_sd": None})
    assert (told["weight_decay"], told["eps"]) == (0.5, 1e-3)


@pytest.mark.parametrize(
    "given",
    [
        {"check_val_every_n_epoch": 2},
        {"trainer_config": {"check_val_every_n_epoch": 2}},
        {"trainer_config": TrainerConfig(check_val_every_n_epoch=2)},
        {"trainer_config": {"check_val_every_n_epoch": 1}, "check_val_every_n_epoch": 2},
    ],
    ids=["argument", "mapping", "config", "argument first"],
)
def test_validation_is_as_often_as_asked_for(model, given):
    train(model, 4, **given)
    assert list(model.history_["elbo_validation"].index) == [1, 3]
    assert model.best_epoch_ in (1, 3)


@pytest.mark.parametrize("name", ["max_epochs", "accelerator", "devices", "early_stopping"])
def test_what_is_decided_by_train_is_not_taken_from_the_trainer_s_config(model, name):
    with pytest.raises(ValueError, match=f"Expected {name} as arguments of train; got them in trainer_config"):
        model.train(1, trainer_config={name: 1})


@pytest.mark.parametrize("place", ["argument", "plan_kwargs", "plan_config"])
def test_a_rate_that_falls_on_plateaus_is_refused(model, place):
    given = {"reduce_lr_on_plateau": True}
    with pytest.raises(ValueError, match="reduce_lr_on_plateau as False; got another value.*as a cosine"):
        model.train(1, **(given if place == "argument" else {place: given}))
    given["reduce_lr_on_plateau"] = False
    train(model, **(given if place == "argument" else {place: given}))


@pytest.mark.parametrize("name", ["adversarial_classifier", "adversarial_mixing"])
def test_the_adversary_is_the_model_s(model, name):
    with pytest.raises(ValueError, match=f"{name} as None; got another value.*batch_adversary of MultiVAE"):
        model.train(1, **{name: True})


def test_a_logger_logs(model, tmp_path):
    train(model, 2, logger=CSVLogger(tmp_path, name="run"), log_every_n_steps=1)
    (logged,) = tmp_path.rglob("metrics.csv")
    assert "elbo_validation" in logged.read_text()
    assert np.isfinite(model.get_latent_representation()).all()


def test_sparse_values_are_handed_on_as_such_in_any_case(registered):
    found = []
    for sparse in (False, True):
        model = MultiVAE(registered, n_hidden=4, n_latent=2, prior="normal")
        train(model, load_sparse_tensor=sparse)
        found.append(model.module.state_dict())
    assert all(torch.equal(one, other) for one, other in zip(*(state.values() for state in found), strict=True))
