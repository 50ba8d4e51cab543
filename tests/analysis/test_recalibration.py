"""Levels of draws at which held-out values lie."""

from __future__ import annotations

import numpy as np
import pytest

from mmvae.analysis import DepthModel, Recalibration, between, places, spread_wanted

RNG = np.random.default_rng(0)


def test_places_of_values_like_their_draws_are_even():
    mean = RNG.gamma(1.0, 2.0, (4_000, 1))
    found = places(RNG.poisson(mean, (4_000, 40)), RNG.poisson(mean[:, 0]), RNG)
    assert np.allclose(np.quantile(found, [0.1, 0.5, 0.9]), [0.1, 0.5, 0.9], atol=0.03)


@pytest.mark.parametrize("spread", [0.5, 2.0])
def test_recalibrated_intervals_hold_what_they_should(spread):
    """Draws that are too narrow, or too wide, in one half of the cells alone."""
    expected = np.repeat([1.0, 10.0], 4_000)
    scale = np.where(expected > 5, spread, 1.0)
    draws = expected[:, None] + scale[:, None] * RNG.normal(size=(8_000, 199))
    values = expected + RNG.normal(size=8_000)
    known = Recalibration.fit(expected[::2], places(draws, values, RNG)[::2], 4_000)
    low, high = between(np.sort(draws, axis=1), known.at(expected, 0.1), known.at(expected, 0.9))
    inside = ((values >= low) & (values <= high))[1::2].reshape(2, -1).mean(axis=1)
    assert np.allclose(inside, 0.8, atol=0.03)


def test_without_cells_draws_are_taken_at_their_word():
    assert np.allclose(Recalibration.even().at(np.array([0.5, 3.0]), 0.05), 0.05)
    few = Recalibration.fit(np.ones(10), np.full(10, 0.5), 1)
    assert 0.05 < few.at(np.ones(1), 0.05)[0] < 0.1


def test_what_zero_leaves_unused_below_is_had_above():
    draws = np.sort(RNG.poisson(0.5, (500, 199)), axis=1)
    low, high = between(draws, 0.05, 0.95)
    assert (low == 0).all()
    assert (high == draws[:, 180 - 1]).all()


def test_spread_is_found_beyond_noise():
    rate = RNG.gamma(20.0, 0.5, (2_000, 5))
    values = RNG.poisson(rate)
    drawn = 10.0 + (RNG.gamma(20.0, 0.5, (2_000, 5, 50)) - 10.0) / 2
    found = spread_wanted(
        RNG.poisson(drawn).var(axis=-1, ddof=1), drawn.mean(axis=-1), drawn.var(axis=-1), values, n_draws=50
    )
    assert found == pytest.approx(2.0, abs=0.15)


def test_depths_follow_latent_and_batch():
    latent, batch = RNG.normal(size=(3_000, 2)), RNG.integers(2, size=3_000)
    totals = np.exp(5 + 0.5 * latent[:, 0] + batch + 0.3 * RNG.normal(size=3_000))
    model = DepthModel.fit(latent, batch, totals)
    assert model.spread == pytest.approx(0.3, abs=0.02)
    none = np.zeros(3_000)
    expected = np.log(model.totals(latent, batch, none))
    assert np.allclose(expected, 5 + 0.5 * latent[:, 0] + batch, atol=0.05)
    unknown = np.log(model.totals(latent, np.full(3_000, 7), none))
    assert np.allclose(unknown.mean(), 5.5, atol=0.1)
