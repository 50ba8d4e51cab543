"""Numbers that make no sense are refused, all in one message."""

from __future__ import annotations

import numpy as np
import pytest
from lightning.pytorch.callbacks import LambdaCallback

from mmvae import MultiVAE
from mmvae._checks import COUNT, NOT_NEGATIVE, POSITIVE, SHARE, SHARE_ABOVE_0, SHARE_BELOW_1, check_numbers

pytestmark = pytest.mark.filterwarnings("ignore:The latent of", "ignore:The validation ELBO never")
NOT_COUNTS = [0, -1, 1.5, 10.0, float("nan"), "a", True]
NOT_RATES = [0.0, -1.0, float("nan"), float("inf"), "a"]
NEGATIVE = [-1.0, float("nan"), float("inf")]
NOT_SHARES = [-0.1, 1.0, 1.5, float("nan")]
NOT_SEEDS = [-1, 1.5, "a"]

OF_MODEL = {
    "n_latent": [*NOT_COUNTS, {"rna": 2, "protein": 2.5}],
    "n_hidden": NOT_COUNTS,
    "n_layers": NOT_COUNTS,
    "dropout_rate": NOT_SHARES,
    "input_dropout": [*NOT_SHARES, {"rna": -1.0}],
    "modality_dropout": NOT_SHARES,
    "modality_weights": [{"rna": weight} for weight in NOT_RATES],
    "kl_scale": NEGATIVE,
    "batch_adversary": NEGATIVE,
    "seed": NOT_SEEDS,
}
OF_TRAINING = {
    "max_epochs": NOT_COUNTS,
    "batch_size": NOT_COUNTS,
    "lr": NOT_RATES,
    "train_size": [0.0, -1.0, 1.5, float("nan"), "a"],
    "validation_size": [-0.1, 1.5, float("nan")],
    "early_stopping_patience": NOT_COUNTS,
    "seed": NOT_SEEDS,
}
OF_PLAN = {
    "lr": NOT_RATES,
    "weight_decay": NEGATIVE,
    "n_epochs_kl_warmup": [-1, 1.5],
    "n_steps_kl_warmup": [-1, 1.5],
    "loading_sd": NOT_RATES,
    "max_kl_weight": NEGATIVE,
}


def each(arguments):
    return [pytest.param(name, value, id=f"{name}={value}") for name, values in arguments.items() for value in values]


@pytest.fixture(scope="module")
def registered():
    import mmvae

    mdata = mmvae.datasets.simulate(40, modalities={"rna": 12, "protein": 6}, n_clusters=3, seed=0)
    MultiVAE.setup_mudata(mdata)
    return mdata


@pytest.fixture(scope="module")
def untrained(registered):
    return MultiVAE(registered, n_hidden=8, n_latent=2)


@pytest.mark.parametrize(("name", "value"), each(OF_MODEL))
def test_sizes_are_refused(registered, name, value):
    with pytest.raises(ValueError, match=rf"Expected {name}.* as .*; got "):
        MultiVAE(registered, **{name: value})


@pytest.mark.parametrize(("name", "value"), each(OF_TRAINING))
def test_training_is_refused(untrained, name, value):
    with pytest.raises(ValueError, match=rf"Expected {name} as .*; got "):
        untrained.train(**{"max_epochs": 1} | {name: value})
    assert untrained.history_ is None


@pytest.mark.parametrize(("name", "value"), each(OF_PLAN))
def test_arguments_of_the_plan_are_refused(untrained, name, value):
    with pytest.raises(ValueError, match=rf"Expected plan_kwargs\['{name}'\] as .*; got "):
        untrained.train(1, plan_kwargs={name: value})


@pytest.mark.parametrize("name", ["learning_rate", "optimizer", "n_epochs_kl_warmpu"])
def test_what_the_plan_does_not_know_is_named_with_what_it_does(untrained, name):
    with pytest.raises(ValueError, match=rf"Expected plan_kwargs among \['lr', .*; got \['{name}'\]"):
        untrained.train(1, plan_kwargs={name: 1})


def test_all_faults_come_in_one_message(registered, untrained):
    with pytest.raises(ValueError, match=r"n_hidden as .*got -1.*n_layers as .*got 0.*kl_scale as .*got nan"):
        MultiVAE(registered, n_hidden=-1, n_layers=0, kl_scale=float("nan"))
    with pytest.raises(ValueError, match=r"max_epochs as .*got 0.*plan_kwargs\['lr'\].*among .*learning_rate"):
        untrained.train(0, plan_kwargs={"lr": -1.0, "learning_rate": 1.0})


def test_a_train_size_that_leaves_no_cell_is_refused(untrained):
    with pytest.raises(ValueError, match=r"train_size that leaves cells to train on; got 0.01 of 40 cells"):
        untrained.train(1, train_size=0.01)


@pytest.mark.parametrize("value", NOT_COUNTS)
def test_readouts_refuse_them_too(trained, value):
    model, _ = trained
    for name, call in {
        "batch_size": lambda: model.get_latent_representation(batch_size=value),
        "mc_samples": lambda: model.get_latent_representation(give_mean=False, mc_samples=value),
        "n_samples": lambda: model.get_normalized_expression(modality="rna", n_samples=value),
    }.items():
        with pytest.raises(ValueError, match=rf"Expected {name} as a whole number above 0; got "):
            call()


@pytest.mark.parametrize(
    ("number", "inside"),
    [
        (COUNT, [1, 10**9, np.int64(3)]),
        (POSITIVE, [1e-300, 1, np.float32(0.5)]),
        (NOT_NEGATIVE, [0, 0.0, 1e30]),
        (SHARE, [0, 1, 0.5]),
        (SHARE_ABOVE_0, [1, 1e-9]),
        (SHARE_BELOW_1, [0, 0.999]),
    ],
)
def test_numbers_that_make_sense_are_taken(number, inside):
    for value in [*inside, None]:
        check_numbers({"x": number}, x=value)


def test_smallest_numbers_train(registered):
    model = MultiVAE(registered, n_latent=np.int64(1), n_hidden=1, n_layers=1, kl_scale=0.0, prior="normal")
    model.train(
        1,
        batch_size=1,
        train_size=0.1,
        validation_size=0.0,
        plan_kwargs={"weight_decay": 0.0, "n_epochs_kl_warmup": 0},
        enable_progress_bar=False,
        accelerator="cpu",
    )
    assert np.isfinite(model.get_latent_representation()).all()


def test_none_is_no_callbacks(registered):
    model = MultiVAE(registered, n_hidden=4)
    model.train(1, callbacks=None, datasplitter_kwargs=None, enable_progress_bar=False)
    assert len(model.history_["elbo_train"]) == 1


def test_one_callback_is_taken_as_a_list_of_one(registered):
    model = MultiVAE(registered, n_hidden=4)
    seen = []
    model.train(1, callbacks=LambdaCallback(on_train_end=lambda *_: seen.append(1)), enable_progress_bar=False)
    assert seen == [1]
