"""Directions of a latent, and groups that lie apart in it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mmvae.analysis import certain_shares, gains, log_rates, of_mixture, patterns, squared_residual, told_apart


@pytest.fixture
def generator():
    return np.random.default_rng(0)


def test_a_pattern_is_what_a_readout_is_a_sign_of_not_what_it_weighs(generator):
    # The readout takes the second dimension off to be rid of noise that the first shares with it.
    signal, noise = generator.normal(size=(2, 5_000))
    latent = np.column_stack([2 * signal + noise, noise])
    readout = latent @ np.array([[1.0], [-1.0]])
    np.testing.assert_allclose(patterns(latent, readout), [[2.0, 0.0]], atol=0.05)


def test_patterns_move_one_readout_each(generator):
    latent = generator.normal(size=(500, 4)) @ generator.normal(size=(4, 4))
    weights = generator.normal(size=(4, 2))
    readout = latent @ weights + 3.0
    np.testing.assert_allclose(patterns(latent, readout) @ weights, np.diag(readout.std(axis=0)), atol=1e-8)


def test_groups_that_lie_apart_are_told_and_others_are_not(generator):
    groups = np.repeat(["a", "b", "c"], [600, 100, 60])
    latent = generator.normal(size=(760, 5))
    assert told_apart(latent, groups) < 0.1
    assert told_apart(latent + 10.0 * (groups == "b")[:, None], groups) == pytest.approx(0.5, abs=0.1)
    assert told_apart(latent + 10.0 * np.unique(groups, return_inverse=True)[1][:, None], groups) == 1.0


@pytest.mark.parametrize("groups", [np.zeros(40), np.repeat([0, 1], [35, 5])], ids=["one", "one and a few cells"])
def test_one_group_is_told_from_nothing(generator, groups):
    assert np.isnan(told_apart(generator.normal(size=(40, 2)), groups))


def test_a_prediction_that_is_as_sure_as_it_should_be_has_residual_one(generator):
    predicted, variance = generator.normal(size=(2, 4_000, 3)) ** 2 + 0.1
    own = 0.3 * variance
    mean = predicted + np.sqrt(variance - own) * generator.normal(size=predicted.shape)
    assert squared_residual(mean, own, predicted, variance) == pytest.approx(1, abs=0.05)
    assert squared_residual(mean, own, predicted, variance / 4) == pytest.approx(4, abs=0.2)


def test_predictions_together_have_the_moments_of_their_mixture(generator):
    means, variances = generator.normal(size=(2_000, 1, 2)), np.full((2_000, 1, 2), 0.5)
    mean, variance = of_mixture(means, variances)
    drawn = means + np.sqrt(variances) * generator.normal(size=means.shape)
    np.testing.assert_allclose(mean, drawn.mean(axis=0), atol=0.05)
    np.testing.assert_allclose(variance, drawn.var(axis=0), rtol=0.1)


def test_a_dimension_that_is_the_same_in_all_cells_is_not_certain():
    means = torch.tensor([[1.0, 0.0, 3.0], [-1.0, 0.0, 3.0]])
    variances = torch.tensor([[1.0, 1.0, 0.0]]).expand(2, 3)
    assert certain_shares(means, variances).tolist() == [0.5, 0.0, 0.0]


def test_gains_are_over_the_average_of_the_others():
    rates = np.array([[0.8, 0.2], [0.2, 0.8], [0.5, 0.5]])
    found = gains(rates, np.array([1.0, 1.0, 2.0]), is_real=True)
    np.testing.assert_allclose(found[0], [0.8 - 0.4, 0.2 - 0.6])
    logs = gains(rates, np.array([1.0, 1.0, 0.0]), is_real=False)
    np.testing.assert_allclose(logs[0], np.log2([0.85 / 0.25, 0.25 / 0.85]))


def test_features_that_are_hardly_seen_do_not_change_the_most():
    before, after = torch.tensor([[0.5, 0.5, 1e-6]]), torch.tensor([[0.4, 0.6, 8e-6]])
    assert (log_rates(after) - log_rates(before)).argmax() == 1
