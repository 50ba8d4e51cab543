"""The coupled prior against torch's multivariate normals."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, MultivariateNormal, Normal

from mmvae.priors import CoupledPrior, PosteriorSample, PriorContext

L = 5
FIRST = torch.tensor([True, True, False, False, False])


@pytest.fixture(params=["gaussian", "mog", "mog_full"])
def prior(request) -> CoupledPrior:
    torch.manual_seed(0)
    prior = CoupledPrior(L, request.param)
    with torch.no_grad():
        prior.loc.copy_(torch.randn_like(prior.loc))
        prior.log_scale.copy_(0.3 * torch.randn_like(prior.log_scale))
        prior.logits.copy_(torch.randn_like(prior.logits))
        if prior.kind != "mog":
            prior.lower.copy_(0.5 * torch.randn_like(prior.lower))
        prior.ready.fill_(True)
    return prior


def gaussian(loc: torch.Tensor, scale: float) -> Independent:
    return Independent(Normal(loc, torch.full_like(loc, scale)), 1)


def test_density_equals_torch_mixture(prior):
    mixing = Categorical(logits=prior.logits)
    expected = MixtureSameFamily(mixing, MultivariateNormal(prior.loc, prior.covariance()))
    z = torch.randn(50, L)
    assert torch.allclose(prior(PriorContext()).log_prob(z), expected.log_prob(z), atol=1e-4)


def test_marginals_are_the_modalities_own_priors(prior):
    mixing = Categorical(logits=prior.logits)
    expected = MixtureSameFamily(mixing, MultivariateNormal(prior.loc[:, 2:], prior.covariance()[:, 2:, 2:]))
    z = torch.randn(50, 3)
    assert torch.allclose(prior.marginal(slice(2, 5)).log_prob(z), expected.log_prob(z), atol=1e-4)


def test_chain_rule(prior):
    """log p(z1, z2) = log p(z1) + log p(z2 | z1)."""
    prior, z = prior.double(), torch.randn(40, L, dtype=torch.float64)
    whole = prior(PriorContext()).log_prob(z)
    parts = prior.marginal(slice(0, 2)).log_prob(z[:, :2]) + prior._conditional(z[:, FIRST], FIRST).log_prob(z[:, 2:])
    assert torch.allclose(whole, parts, atol=1e-6)


def test_conditional_moments_are_those_of_torch(prior):
    if prior.n_components > 1:
        pytest.skip("closed form for one component")
    z = torch.randn(4, L)
    known = FIRST.expand(4, L)
    S = prior.covariance()[0]
    slope = S[2:, :2] @ torch.linalg.inv(S[:2, :2])
    expected = prior.loc[0, 2:] + (z[:, :2] - prior.loc[0, :2]) @ slope.T
    found = prior.expected(z, known)
    assert torch.allclose(found.loc[:, 2:], expected, atol=1e-4)
    assert torch.equal(found.loc[:, :2], z[:, :2])
    left = (S[2:, 2:] - slope @ S[:2, 2:]).diagonal().sqrt()
    assert torch.allclose(found.scale[:, 2:], left.expand(4, 3), atol=1e-3)


def test_draws_of_what_is_missing_reproduce_the_joint(prior):
    draws = prior(PriorContext()).sample((100_000,))
    completed = prior.completed(draws, FIRST.expand_as(draws))
    assert torch.equal(completed[:, :2], draws[:, :2])
    assert torch.allclose(torch.cov(completed.T), torch.cov(draws.T), atol=0.05)


def test_what_is_missing_costs_nothing(prior):
    z = torch.randn(6, L)
    known = FIRST.expand(6, L)
    q = gaussian(z, 0.5)
    kl = prior.kl(q, z, PriorContext(known=known))
    expected = Normal(z, 0.5).log_prob(z)[:, :2].sum(-1) - prior.marginal(slice(0, 2)).log_prob(z[:, :2])
    assert torch.allclose(kl, expected, atol=1e-4)
    other = torch.cat([z[:, :2], torch.full((6, 3), 7.0)], dim=1)
    assert torch.equal(prior.kl(gaussian(other, 0.5), other, PriorContext(known=known)), kl)


def test_it_learns_what_one_block_says_of_another():
    torch.manual_seed(0)
    shared = torch.randn(500, 1)
    latents = torch.cat([shared + 0.3 * torch.randn(500, 2), -shared + 0.3 * torch.randn(500, 3)], dim=1)
    known = torch.ones(500, L, dtype=torch.bool)
    known[:200, 2:] = False
    prior = CoupledPrior(L)
    prior.init_from(PosteriorSample(latents.where(known, 0.0), torch.full_like(latents, 0.1), known=known))
    found = prior.expected(latents[:200], known[:200]).loc
    assert torch.corrcoef(torch.stack([found[:, 3], -shared[:200, 0]]))[0, 1] > 0.9


def test_it_is_standard_normal_until_it_starts():
    prior, z = CoupledPrior(L), torch.randn(3, L)
    known = FIRST.expand(3, L)
    expected = Normal(0.0, 1.0).log_prob(z).sum(-1)
    assert torch.allclose(prior(PriorContext()).log_prob(z), expected, atol=1e-5)
    assert torch.allclose(prior.expected(z, known).loc[:, 2:], torch.zeros(3, 3))


def test_unknown_kind():
    with pytest.raises(ValueError, match="kind"):
        CoupledPrior(L, "cubic")
    with pytest.raises(ValueError, match="mog_full"):
        CoupledPrior(L, "gaussian", n_components=3)
