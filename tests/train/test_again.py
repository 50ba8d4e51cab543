"""A second training goes on from the first."""

from __future__ import annotations

import numpy as np
import pytest

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
