"""Properties that every likelihood has."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mmvae.data import feature_statistics
from mmvae.likelihoods import Likelihood

C, G, H = 200, 6, 8


def values_for(likelihood: Likelihood) -> torch.Tensor:
    rng = np.random.default_rng(0)
    if likelihood.values == "binary":
        return torch.as_tensor(rng.integers(0, 2, (C, G)), dtype=torch.float32)
    if likelihood.values == "real":
        return torch.as_tensor(rng.normal(3, 2, (C, G)), dtype=torch.float32)
    return torch.as_tensor(rng.negative_binomial(2, 0.2, (C, G)), dtype=torch.float32)


@pytest.fixture(params=sorted(Likelihood.registry))
def likelihood(request) -> Likelihood:
    torch.manual_seed(0)
    built = Likelihood.build(request.param, n_features=G, n_hidden=H, n_batch=2)
    built.init_from(feature_statistics(values_for(built).numpy()))
    return built


def explained(likelihood, values, hidden=None):
    hidden = torch.randn(len(values), H) if hidden is None else hidden
    size_factor = values.abs().sum(1, keepdim=True).clamp_min(1)
    return likelihood(hidden, size_factor, torch.zeros(len(values), 1, dtype=torch.long))


def test_log_probability_is_finite_at_zero_and_far_out(likelihood):
    far = 1.0 if likelihood.values == "binary" else 1e5
    for value in (0.0, far):
        values = torch.full((3, G), value)
        assert torch.isfinite(explained(likelihood, values).distribution.log_prob(values)).all()


def test_gradient_reaches_every_parameter(likelihood):
    emission = explained(likelihood, values_for(likelihood))
    loss = -emission.distribution.log_prob(values_for(likelihood)).sum()
    if emission.kl is not None:
        loss = loss + emission.kl.sum()
    loss.backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in likelihood.parameters())


def test_loadings_join_hidden_units_to_features(likelihood):
    loadings = likelihood.loadings()
    assert loadings
    assert all(tuple(weights.shape) == (G, H) and weights.requires_grad for weights in loadings)


def test_ratios_are_not_shrunk():
    likelihood = Likelihood.build("nb_mixture", n_features=G, n_hidden=H, n_batch=2)
    assert not any(weights is likelihood.foreground.weight for weights in likelihood.loadings())


def test_no_rows_give_no_rows(likelihood):
    empty = values_for(likelihood)[:0]
    assert explained(likelihood, empty).distribution.log_prob(empty).shape == (0, G)
    assert likelihood.encoder_input(empty, empty[:, :1]).shape == (0, G)


def test_rates_have_one_row_per_cell_and_are_not_negative_for_counts(likelihood):
    rates = likelihood.rates(torch.randn(5, H), torch.zeros(5, 1, dtype=torch.long))
    assert rates.shape == (5, G)
    if likelihood.values != "real":
        assert (rates >= 0).all()


def test_shares_sum_to_one(likelihood):
    if not likelihood.relative:
        pytest.skip("rates of this likelihood are not shares")
    rates = likelihood.rates(torch.randn(5, H), torch.zeros(5, 1, dtype=torch.long))
    assert torch.allclose(rates.sum(1), torch.ones(5), atol=1e-5)


def test_depth_of_a_cell_hardly_changes_what_the_encoder_sees(likelihood):
    if not likelihood.relative:
        pytest.skip("values of this likelihood do not scale with depth")
    values = values_for(likelihood)
    size_factor = values.sum(1, keepdim=True).clamp_min(1)
    once = likelihood.encoder_input(values, size_factor)
    assert torch.allclose(once, likelihood.encoder_input(3 * values, 3 * size_factor), atol=1e-5)


def test_training_starts_near_the_mean_of_the_data(likelihood):
    values = values_for(likelihood)
    if likelihood.name in ("nb_mixture", "zinb"):
        pytest.skip("the mean is split between components")
    rates = likelihood.rates(torch.zeros(1, H), torch.zeros(1, 1, dtype=torch.long))[0]
    expected = values.sum(0) / values.sum() if likelihood.relative else values.mean(0)
    assert torch.allclose(rates, expected, rtol=0.05, atol=0.02)


def test_fitting_recovers_the_mean(likelihood):
    torch.manual_seed(0)
    values, hidden = values_for(likelihood), torch.zeros(C, H)
    optimizer = torch.optim.Adam(likelihood.parameters(), 0.02)
    for _ in range(200):
        optimizer.zero_grad()
        emission = explained(likelihood, values, hidden)
        loss = -emission.distribution.log_prob(values).sum() / C
        (loss if emission.kl is None else loss + emission.kl.mean()).backward()
        optimizer.step()
    mean = explained(likelihood, values, hidden).distribution.mean.mean(0)
    assert torch.allclose(mean.detach(), values.mean(0), rtol=0.25, atol=0.15)
