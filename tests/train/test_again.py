"""A second training goes on from the first."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import mmvae
from mmvae import MultiVAE
from mmvae.model import _fitting

pytestmark = pytest.mark.filterwarnings("ignore:The latent of", "ignore:The validation ELBO never")


def objectives(model) -> np.ndarray:
    return model.history_["objective_validation"].iloc[:, 0].astype(float).to_numpy()


def test_the_best_epoch_is_counted_as_the_history_is(build, train):
    model = train(build(), 6)
    train(model, 3)
    assert len(objectives(model)) == 9
    assert model.best_epoch_ == 7 + int(np.argmin(objectives(model)[7:]))


def test_the_weights_are_those_of_the_best_epoch_of_the_second(build, train):
    model = train(train(build(), 6), 6, early_stopping=False)
    assert model.best_epoch_ == 8 + int(np.argmin(objectives(model)[8:]))


def test_the_report_is_about_the_second(build, train, monkeypatch):
    histories = []
    monkeypatch.setattr(_fitting, "training_report", lambda history, *_: histories.append(history) or [])
    model = train(train(build(), 4), 3)
    first, second = ([len(rows) for rows in history.values()] for history in histories)
    assert set(first) == {4}
    assert set(second) == {3}
    np.testing.assert_array_equal(histories[1]["elbo_train"], model.history_["elbo_train"].iloc[4:])


def test_nothing_of_the_first_is_in_the_way_of_a_metric_that_it_lacks(build, train):
    model = train(build(), 2, validation_size=0.0)
    train(model, 2)
    assert model.best_epoch_ in (2, 3)
    assert list(model.history_["objective_validation"].index) == [2, 3]


def test_epochs_without_a_validation_are_counted(build, train):
    model = train(build(), 4, check_val_every_n_epoch=2)
    train(model, 4, check_val_every_n_epoch=2)
    assert list(model.history_["objective_validation"].index) == [1, 3, 5, 7]
    assert list(model.history_["elbo_train"].index) == list(range(8))
    assert model.history_["elbo_train"].index.name == "epoch"
    assert model.best_epoch_ in (1, 3, 5, 7)


def weights(model) -> dict:
    return {name: value.clone() for name, value in model.module.state_dict().items()}


def are_same(one, other) -> bool:
    return all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.fixture
def worse(build, train):
    """Function that trains a model well, and once more badly."""

    def run(**arguments):
        model = train(build(), 6)
        before, latent = weights(model), model.get_latent_representation()
        with pytest.warns(UserWarning, match="did not make the model better") as caught:
            train(model, 3, lr=1.0, **arguments)
        (said,) = (str(w.message) for w in caught if "better" in str(w.message))
        return model, before, latent, said

    return run


def test_a_second_that_ends_worse_leaves_the_weights_and_says_so(worse):
    model, before, latent, said = worse()
    assert are_same(weights(model), before)
    np.testing.assert_array_equal(model.get_latent_representation(), latent)
    assert not model.module.training
    assert len(objectives(model)) == 9  # all that was trained
    new = objectives(model)[7:]
    assert model.best_epoch_ < 6
    assert f"{new.min():.1f} nats per cell in epoch {7 + np.argmin(new)}" in said
    assert f"{objectives(model)[model.best_epoch_]:.0f}" in said  # with other noise
    assert "The model holds those: keep_better=False takes the new ones." in said
    assert "trained on" not in said


def test_the_new_weights_are_taken_if_asked_for(worse):
    model, before, _, said = worse(keep_better=False)
    assert not are_same(weights(model), before)
    assert model.best_epoch_ == 7 + int(np.argmin(objectives(model)[7:]))
    assert "The model holds the new ones, as keep_better=False asks." in said


def test_cells_that_the_weights_from_before_know_are_told(worse):
    assert "had been trained on" in worse(seed=5)[-1]


def test_without_validation_cells_the_new_weights_are_taken(build, train):
    model = train(build(), 3)
    before = weights(model)
    train(model, 2, lr=1.0, validation_size=0.0)
    assert not are_same(weights(model), before)
    assert model.best_epoch_ is None


def test_judging_the_weights_from_before_does_not_change_the_training(build, train):
    def second(**arguments):
        model = train(train(build(), 2), 3, **arguments)
        return model.history_["elbo_train"].iloc[2, 0]  # validation draws noise for later epochs

    train_on, others, none = np.arange(70), np.arange(70, 80), np.arange(0)
    judged = second(external_indexing=[train_on, others, none])
    assert judged == second(external_indexing=[train_on, none, others])


@pytest.mark.parametrize("arguments", [{}, {"prior": "coupled", "n_layers": 2}], ids=["mog", "coupled"])
def test_from_scratch_a_model_is_trained_as_a_new_one_is(build, train, arguments):
    new = train(build(**arguments), 3)
    model = train(train(build(**arguments), 2, seed=4, lr=0.05), 3, from_scratch=True)
    assert are_same(weights(model), weights(new))
    assert all(rows.equals(model.history_[name]) for name, rows in new.history_.items())
    assert model.best_epoch_ == new.best_epoch_
    assert model.memory_["reliability"] == new.memory_["reliability"]


def test_from_scratch_a_model_that_fails_is_what_it_was(build, train, at):
    model = train(build(), 3)
    before, best = weights(model), model.best_epoch_

    def fail(trainer, plan):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        train(model, 4, from_scratch=True, callbacks=[at(3, fail)])
    assert "weights from before this training" in caught.value.__notes__[0]
    assert are_same(weights(model), before)
    assert (model.best_epoch_, len(objectives(model))) == (best, 3)


def test_a_query_keeps_its_better_weights_and_cannot_start_anew(train):
    data = [mmvae.datasets.simulate(80, modalities={"rna": 12, "protein": 6}, n_clusters=3, seed=s) for s in (0, 1)]
    for name, mdata in zip(("old", "new"), data, strict=True):
        mdata.obs["batch"] = name
    MultiVAE.setup_mudata(data[0], batch_key="batch")
    reference = train(MultiVAE(data[0], n_hidden=16, n_latent=3), 3)
    model = train(MultiVAE.load_query_data(data[1], reference), 4, lr=1.0)
    before = weights(model)
    with pytest.warns(UserWarning, match="did not make the model better"):
        train(model, 3, lr=1e4)
    assert are_same(weights(model), before)
    with pytest.raises(ValueError, match="from_scratch=True; got a query"):
        train(model, 2, from_scratch=True)
    assert are_same(weights(model), before)
    assert np.isfinite(model.get_latent_representation()).all()
