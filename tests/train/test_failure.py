"""What a model is after a training that did not come to its end."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest
import torch

import mmvae
from mmvae import MultiVAE, TrainingDivergedError
from mmvae.data.setup._unchanged import Sums
from mmvae.model import _fitting
from mmvae.priors import MixtureOfGaussians

pytestmark = pytest.mark.filterwarnings(
    "ignore:The latent of", "ignore:The validation ELBO never", "ignore:The training did not make"
)
REMEMBERED = ("is_trained_", "best_epoch_", "memory_", "training_report_")


class Fault(Exception):
    """A user's own."""


def fails(error):
    def act(trainer, plan):
        raise error

    return act


def spoil(part):
    def act(trainer, plan):
        with torch.no_grad():
            next(getattr(plan.module, part)["rna"].parameters()).fill_(torch.nan)

    return act


def terminate(trainer, plan):
    os.kill(os.getpid(), signal.SIGTERM)


# What happens in training, and what comes of it.
FAILURES = {
    "callback": (fails(Fault("mine")), Fault),
    "memory": (fails(MemoryError("out of memory")), MemoryError),
    "memory of a card": (fails(torch.OutOfMemoryError("CUDA out of memory")), torch.OutOfMemoryError),
    "value": (fails(ValueError("Fitting the mixture model failed")), ValueError),
    "interrupt": (fails(KeyboardInterrupt()), KeyboardInterrupt),
    "exit": (fails(SystemExit(3)), SystemExit),
    "terminated": (terminate, SystemExit),
    "NaN in an encoder": (spoil("encoders"), TrainingDivergedError),
    "NaN in a decoder": (spoil("decoders"), TrainingDivergedError),
}
OF_FIRST = ("callback", "interrupt", "exit", "terminated", "NaN in an encoder")  # the others of a second training
REFUSED = {
    "unknown argument": ({"early_stop": True}, TypeError),
    "unknown plan argument": ({"plan_kwargs": {"learning_rate": 1.0}}, ValueError),
    "number": ({"lr": -1.0}, ValueError),
    "split": ({"split_by": "nope"}, ValueError),
    "accelerator": ({"accelerator": "nope"}, ValueError),
    "KL weights": ({"plan_kwargs": {"min_kl_weight": 2.0}}, ValueError),
}


def state(model) -> dict:
    """All that a training changes."""
    return {
        "weights": {name: value.clone() for name, value in model.module.state_dict().items()},
        "modes": {name: module.training for name, module in model.module.named_modules()},
        "history": {name: rows.copy() for name, rows in (model.history_ or {}).items()},
        "cells": [model.train_indices_, model.validation_indices_, model.test_indices_],
        "names": set(vars(model)),
        **{name: getattr(model, name) for name in REMEMBERED},
    }


def assert_same(before, after) -> None:
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after["weights"][name]) for name, value in before["weights"].items())
    assert not any(after["modes"].values())
    assert before["history"].keys() == after["history"].keys()
    assert all(rows.equals(after["history"][name]) for name, rows in before["history"].items())
    for mine, other in zip(before["cells"], after["cells"], strict=True):
        np.testing.assert_array_equal(mine, other)
    assert all(before[name] == after[name] for name in (*REMEMBERED, "names"))


@pytest.fixture
def trained(build, train):
    return train(build(), 3)


def run(model, train, failure, at, epoch=2, **arguments):
    act, expected = FAILURES[failure]
    with pytest.raises(expected) as caught:
        train(model, 5, callbacks=[at(epoch, act)], **arguments)
    assert type(caught.value) is expected or isinstance(caught.value, SystemExit)
    return caught.value


def said_of(error) -> str:
    """What the user reads of when training stopped and what the model holds."""
    return " ".join([str(error), *getattr(error, "__notes__", [])])


@pytest.mark.parametrize("failure", [name for name in FAILURES if name not in OF_FIRST])
def test_a_trained_model_is_what_it_was_if_the_new_epochs_are_worse(trained, train, at, failure):
    before, latent = state(trained), trained.get_latent_representation()
    error = run(trained, train, failure, at, lr=1.0)
    assert "stopped in epoch 5" in said_of(error)
    assert "The model holds the weights from before this training." in said_of(error)
    assert ("Try a smaller batch_size." in said_of(error)) == failure.startswith("memory")
    assert_same(before, state(trained))
    np.testing.assert_array_equal(trained.get_latent_representation(), latent)


@pytest.mark.parametrize("failure", ["interrupt", "terminated", "NaN in a decoder"])
def test_a_trained_model_keeps_the_new_epochs_if_they_are_better(trained, train, at, failure):
    before = state(trained)["weights"]
    error = run(trained, train, failure, at, epoch=4, lr=0.02)
    assert "stopped in epoch 7" in said_of(error)
    assert f"The model holds the weights of epoch {trained.best_epoch_}, the best so far." in said_of(error)
    assert trained.best_epoch_ >= 4
    assert len(trained.history_["elbo_train"]) == 7
    assert not all(torch.equal(value, before[name]) for name, value in trained.module.state_dict().items())
    assert np.isfinite(trained.get_latent_representation()).all()


@pytest.mark.parametrize("refused", REFUSED)
def test_a_refused_training_changes_nothing(trained, train, refused):
    arguments, expected = REFUSED[refused]
    before, latent = state(trained), trained.get_latent_representation()
    with pytest.raises(expected):
        trained.train(2, enable_progress_bar=False, **{"accelerator": "cpu"} | arguments)
    assert_same(before, state(trained))
    np.testing.assert_array_equal(trained.get_latent_representation(), latent)


@pytest.mark.parametrize("failure", OF_FIRST)
def test_a_first_training_keeps_its_best_weights(build, train, at, failure, tmp_path):
    complete = train(build(), 5, early_stopping=False)
    model = build()
    error = run(model, train, failure, at, epoch=3)
    assert "stopped in epoch 3" in said_of(error)
    assert f"The model holds the weights of epoch {model.best_epoch_}, the best so far." in said_of(error)
    assert model.is_trained_
    assert not model.module.training
    objectives = complete.history_["objective_validation"].iloc[:3, 0].astype(float)
    assert model.best_epoch_ == 1 + int(np.argmin(objectives[1:]))
    np.testing.assert_array_equal(model.train_indices_, complete.train_indices_)
    np.testing.assert_array_equal(model.validation_indices_, complete.validation_indices_)
    assert len(model.history_["elbo_train"]) == 3
    latent = model.get_latent_representation()
    assert np.isfinite(latent).all()
    assert set(model.get_reliability().index) == {"rna", "protein"}
    model.save(tmp_path / "saved")
    loaded = MultiVAE.load(tmp_path / "saved", model.adata)
    np.testing.assert_array_equal(loaded.get_latent_representation(), latent)


@pytest.mark.parametrize("failure", ["interrupt", "terminated", "NaN in an encoder"])
def test_a_first_training_without_an_epoch_changes_nothing(build, train, at, failure):
    model = build()
    before = state(model)
    run(model, train, failure, at, epoch=0)
    assert_same(before, state(model))
    assert not model.is_trained_
    train(model, 2)
    assert np.isfinite(model.get_latent_representation()).all()


def test_a_request_to_end_has_the_exit_code_that_shells_expect(build, train, at):
    assert run(build(), train, "terminated", at).code == 143


@pytest.mark.parametrize("failure", ["interrupt", "terminated"])
def test_signals_are_handled_as_before(build, train, at, failure):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    run(build(), train, failure, at)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_training_goes_on_after_an_interrupt(build, train, at):
    model = build()
    run(model, train, "interrupt", at)
    train(model, 3)
    assert len(model.history_["elbo_train"]) == 5


def test_a_failure_while_training_is_summed_up_changes_nothing(trained, train, monkeypatch):
    before = state(trained)
    with monkeypatch.context() as patch:
        patch.setattr("mmvae.model._fitting.measure_modalities", lambda *_: fails(MemoryError())(None, None))
        with pytest.raises(MemoryError):
            train(trained, 2, keep_better=False)
    assert_same(before, state(trained))


def interrupts_once(act):
    """A function in place of ``act`` that is interrupted at its first call."""
    calls = []

    def other(*arguments, **named):
        calls.append(arguments)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return act(*arguments, **named)

    return other


@pytest.mark.parametrize(
    ("place", "name", "when"),
    [
        (MixtureOfGaussians, "init_from", "in epoch 2"),
        (_fitting, "calibrate_imputation", "after its last epoch"),
        (_fitting, "measure_modalities", "after its last epoch"),
    ],
)
@pytest.mark.parametrize("is_trained", [False, True])
def test_an_interrupt_beside_the_epochs_keeps_the_best_weights(
    build, train, monkeypatch, place, name, when, is_trained
):
    model = build()
    if is_trained:
        train(model, 1)
        when = when.replace("2", "3")
    # At the first call of a second training its prior has long been started.
    place, name = (MixtureOfGaussians, "refresh") if is_trained and name == "init_from" else (place, name)
    monkeypatch.setattr(place, name, interrupts_once(getattr(place, name)))
    with pytest.raises(KeyboardInterrupt) as caught:
        train(model, 8, lr=0.02)
    assert model.is_trained_
    assert not model.module.training
    assert model.get_reliability().notna().all()
    assert (when in said_of(caught.value)) or is_trained


@pytest.mark.parametrize("is_trained", [False, True])
def test_who_interrupts_again_and_again_has_a_model_that_can_be_used(build, train, at, monkeypatch, is_trained):
    def interrupted(*_):
        raise KeyboardInterrupt

    model = train(build(), 2) if is_trained else build()
    before = state(model)
    monkeypatch.setattr(_fitting, "calibrate_imputation", interrupted)
    monkeypatch.setattr(_fitting, "measure_modalities", interrupted)
    error = run(model, train, "interrupt", at, epoch=3, lr=0.02)
    if is_trained:
        assert "The model holds the weights from before this training." in said_of(error)
        assert_same(before, state(model))
    else:
        assert "How much each modality counts in the fused latent could not be measured" in said_of(error)
        assert model.is_trained_
    assert np.isfinite(model.get_latent_representation()).all()


def test_an_interrupt_while_validating_keeps_the_best_weights(build, train, at):
    model, interrupt = build(), at(3, None)
    interrupt.on_train_epoch_start = lambda *_: None
    interrupt.on_validation_batch_start = lambda trainer, *_: (
        fails(KeyboardInterrupt())(trainer, None) if trainer.current_epoch == 3 else None
    )
    with pytest.raises(KeyboardInterrupt) as caught:
        train(model, 5, callbacks=[interrupt])
    assert "stopped in epoch 3" in said_of(caught.value)
    assert model.best_epoch_ in (1, 2)
    assert np.isfinite(model.get_latent_representation()).all()


def test_the_graph_is_read_anew_after_a_failure(train, at, in_a_ring):
    mdata = mmvae.datasets.simulate(60, modalities={"rna": 12, "protein": 6}, n_clusters=3, n_batches=1, seed=3)
    in_a_ring(mdata)
    MultiVAE.setup_mudata(mdata)
    model = train(MultiVAE(mdata, n_hidden=8, n_latent=2, prior="gmrf"), 2)
    before = model.spatial_spectrum()
    run(model, train, "callback", at, epoch=1, lr=1.0)
    np.testing.assert_allclose(model.spatial_spectrum()["morans_i"], before["morans_i"], rtol=1e-5)


@pytest.mark.parametrize("readout", ["get_latent_representation", "get_elbo", "get_normalized_expression"])
def test_readouts_are_without_dropout_whatever_came_before(trained, readout):
    arguments = {"modality": "rna"} if readout == "get_normalized_expression" else {}
    trained.module.train()
    getattr(trained, readout)(**arguments)
    assert not trained.module.training


@pytest.mark.parametrize("is_trained", [False, True])
@pytest.mark.parametrize("lr", [1e4, 1e30])
@pytest.mark.parametrize("arguments", [{"prior": "coupled"}, {"fusion": "poe"}], ids=str)
def test_a_rate_far_too_large_ends_in_the_error_of_divergence(build, train, lr, arguments, is_trained):
    model = build(**arguments)
    if is_trained:
        train(model, 2)
    before = state(model)
    try:
        train(model, 6, lr=lr)
    except TrainingDivergedError as error:
        assert "lower lr" in str(error)
        if is_trained:
            assert "weights from before this training" in str(error)
            assert_same(before, state(model))
    else:
        assert lr < 1e10  # all that was computed is finite
    assert all(torch.isfinite(value).all() for value in model.module.state_dict().values())


def cannot_fit(prior, sample):
    msg = "Fitting the mixture model failed because some components have ill-defined empirical covariance"
    raise ValueError(msg)


def test_a_mixture_that_cannot_be_fitted_to_latents_run_wild_is_divergence(build, train, monkeypatch):
    monkeypatch.setattr(MixtureOfGaussians, "init_from", cannot_fit)
    monkeypatch.setattr("mmvae.train._divergence.GROWTH", 10.0)  # that a loss could still be finite after
    with pytest.raises(TrainingDivergedError, match=r"epoch 1: the weights have grown to \de\+0\d") as caught:
        train(build(), 3, lr=10.0)
    assert "ill-defined" in str(caught.value.__cause__)


def test_a_mixture_that_cannot_be_fitted_to_sound_latents_is_an_error_of_its_own(build, train, monkeypatch):
    monkeypatch.setattr(MixtureOfGaussians, "init_from", cannot_fit)
    with pytest.raises(ValueError, match="ill-defined"):
        train(build(), 3)


@pytest.mark.parametrize("part", ["encoders", "decoders"])
def test_divergence_names_the_modality_and_cells(build, train, at, part):
    with pytest.raises(TrainingDivergedError) as caught:
        train(build(), 5, callbacks=[at(2, spoil(part))])
    message = str(caught.value)
    assert "'rna'" in message
    assert "'cell_" in message
    assert "epoch 2" in message
    assert "weights of epoch 1, the best so far" in message


def test_weights_spoilt_by_the_last_step_are_not_kept(build, train, at):
    model = build()
    last = at(1, lambda trainer, plan: spoil("decoders")(trainer, plan) if trainer.is_last_batch else None)
    last.on_train_batch_end = lambda trainer, plan, *_: last.act(trainer, plan) if trainer.current_epoch == 1 else None
    last.on_train_epoch_start = lambda *_: None
    with pytest.raises(TrainingDivergedError, match="weights are not finite.*weights of epoch 0"):
        train(model, 2, callbacks=[last], validation_size=0.0)
    assert np.isfinite(model.get_latent_representation()).all()


def not_finite(which):
    """Sets what ``which`` picks of a module to NaN."""

    def act(trainer, plan):
        with torch.no_grad():
            which(plan.module).fill_(torch.nan)

    return act


PLACES = {
    "a prior": lambda module: module.priors["rna"].loc,
    "a buffer": lambda module: module.likelihoods["rna"].size_factor,
    "a fusion": lambda module: next(module.fusion.parameters()),
    "the scale of size factors": lambda module: module.size_factor_scale["rna"],
}


@pytest.mark.parametrize("place", PLACES)
def test_what_is_not_finite_is_found_wherever_it_is(build, train, at, place):
    model = build()
    with pytest.raises(TrainingDivergedError, match=r"epoch 4: .*weights of epoch \d, the best so far"):
        train(model, 6, callbacks=[at(4, not_finite(PLACES[place]))])
    assert all(torch.isfinite(value).all() for value in model.module.state_dict().values())


def test_a_prior_that_is_fitted_to_something_not_finite_is_found(build, train, monkeypatch):
    init_from = MixtureOfGaussians.init_from
    monkeypatch.setattr(
        MixtureOfGaussians,
        "init_from",
        lambda prior, sample: (init_from(prior, sample), prior.loc.data.fill_(torch.nan)),
    )
    with pytest.raises(TrainingDivergedError, match="epoch 1: the prior of 'rna'.*weights of epoch 0"):
        train(build(), 3)


@pytest.mark.parametrize("is_trained", [False, True])
def test_a_calibration_that_is_not_finite_is_found(build, train, monkeypatch, is_trained):
    model = train(build(), 2) if is_trained else build()
    monkeypatch.setattr(
        type(model.module.fusion), "calibrate", lambda fusion, _: next(fusion.parameters()).data.fill_(torch.nan)
    )
    with pytest.raises(TrainingDivergedError, match=r"the calibration .* is not finite.*weights of epoch \d, the best"):
        train(model, 6, lr=0.02)
    assert all(torch.isfinite(value).all() for value in model.module.state_dict().values())
    assert np.isfinite(model.get_latent_representation()).all()


def test_values_that_are_not_finite_are_named(build, train, monkeypatch):
    model = build()
    # Changed data are refused before; what slips through is found in training.
    monkeypatch.setattr(Sums, "differ", lambda sums, places, block: np.zeros(len(places), dtype=bool))
    model.adata["rna"].X.data[0] = np.inf
    with pytest.raises(TrainingDivergedError, match="'rna'.*'cell_"):
        train(model, 2)
