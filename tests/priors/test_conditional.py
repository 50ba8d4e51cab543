"""The conditional prior."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Independent, Normal

from mmvae.priors import Conditional, PriorContext

D = 3


def learned(n_categories: list[int]) -> Conditional:
    torch.manual_seed(0)
    prior = Conditional(D, n_categories)
    with torch.no_grad():
        for table in prior.tables:
            table.normal_()
    return prior


def test_it_starts_as_the_standard_normal():
    p = Conditional(D, [2, 4])(PriorContext(covariates=torch.tensor([[0, 3], [1, 2]])))
    assert torch.equal(p.mean, torch.zeros(2, D))
    assert torch.equal(p.stddev, torch.ones(2, D))


def test_shifts_of_covariates_add_up():
    prior = learned([2, 4])
    codes = torch.tensor([[0, 3], [1, 2], [1, 1]])
    shift = torch.stack([prior.tables[0][:, :, a] + prior.tables[1][:, :, b] for a, b in codes.tolist()], dim=1)
    expected = Independent(Normal(shift[0], shift[1].clamp(-3, 2).exp()), 1)
    z = torch.randn(3, D)
    assert torch.allclose(prior(PriorContext(covariates=codes)).log_prob(z), expected.log_prob(z), atol=1e-5)


def test_without_covariates_it_is_the_standard_normal():
    p = learned([2])(PriorContext())
    assert torch.equal(p.mean, torch.zeros(D))
    assert torch.equal(p.stddev, torch.ones(D))


def test_pull_is_the_divergence_from_the_standard_normal():
    prior = learned([4])
    loc, log_scale = prior.tables[0]
    each = torch.distributions.kl_divergence(Normal(loc, log_scale.exp()), Normal(0.0, 1.0))
    assert prior.regularizer().item() == pytest.approx(1e-3 * each.mean(dim=1).sum().item(), rel=1e-4)


def test_no_covariates_are_refused():
    with pytest.raises(ValueError, match="prior_covariate_keys"):
        Conditional(D, [])
