"""The coupled prior against torch's multivariate normals."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, MultivariateNormal, Normal
from torch.utils._python_dispatch import TorchDispatchMode

from mmvae.fusion import ObservedDims
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
        prior.mark_initialised()
    return prior


def observed(mask: torch.Tensor) -> ObservedDims:
    """What a mask, ``(n_cells, L)``, observes, and the pattern of each cell."""
    return ObservedDims(mask, *torch.unique(mask, dim=0, return_inverse=True))


def mosaic(n: int = 12) -> torch.Tensor:
    """Cells of all four patterns of two blocks, one of which has nothing."""
    block = torch.tensor([[1, 1], [1, 0], [0, 1], [0, 0]], dtype=torch.bool)[torch.arange(n) % 4]
    return block.repeat_interleave(torch.tensor([2, 3]), dim=1)


def dense(prior: CoupledPrior, z: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Log density of what one cell observes, and mean, covariance of what it misses, in double precision."""
    weight, loc, covariance, z = (
        v.detach().double() for v in (prior.logits.softmax(0), prior.loc, prior.covariance(), z)
    )
    a, b = (~mask).nonzero()[:, 0], mask.nonzero()[:, 0]
    fits, means, covariances = [], [], []
    for m, S in zip(loc, covariance, strict=True):
        inverse = torch.linalg.inv(S[b][:, b])
        gap = z[b] - m[b]
        volume = torch.linalg.slogdet(S[b][:, b]).logabsdet if len(b) else torch.zeros(())
        fits.append(-0.5 * (gap @ inverse @ gap + volume + len(b) * math.log(2 * math.pi)))
        means.append(m[a] + S[a][:, b] @ inverse @ gap)
        covariances.append(S[a][:, a] - S[a][:, b] @ inverse @ S[b][:, a])
    joint = weight.log() + torch.stack(fits)
    share, means, covariances = joint.softmax(0), torch.stack(means), torch.stack(covariances)
    mean = share @ means
    centred = means - mean
    spread = torch.einsum("k,kab->ab", share, covariances) + torch.einsum("k,ka,kb->ab", share, centred, centred)
    return joint.logsumexp(0), mean, spread


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


def test_cells_are_charged_as_dense_algebra_says(prior):
    torch.manual_seed(1)
    z, mask = torch.randn(12, L), mosaic()
    q = gaussian(z + 0.1, 0.5)
    found = prior.kl(q, z, PriorContext(observed_dims=observed(mask)))
    for row in range(12):
        wanted = q.base_dist.log_prob(z)[row, mask[row]].sum() - dense(prior, z[row], mask[row])[0]
        assert found[row].item() == pytest.approx(wanted.item(), abs=1e-5, rel=1e-5)
    complete = torch.ones(12, L, dtype=torch.bool)
    assert torch.allclose(
        prior.kl(q, z, PriorContext(observed_dims=observed(complete))), prior.kl(q, z, PriorContext()), atol=1e-5
    )


def test_imputed_moments_are_those_of_dense_algebra(prior):
    torch.manual_seed(1)
    z, mask = torch.randn(12, L), mosaic()
    found = prior.impute_missing(z, observed(mask))
    for row in range(12):
        _, mean, spread = dense(prior, z[row], mask[row])
        missing = ~mask[row]
        np.testing.assert_allclose(found.loc[row, missing].detach(), mean, atol=1e-5)
        np.testing.assert_allclose(found.scale[row, missing].detach(), spread.diagonal().sqrt(), atol=1e-5)
    assert torch.equal(found.loc[mask], z[mask])
    assert (found.scale[mask] == 1e-4).all()


def test_draws_of_what_is_missing_have_the_moments_of_dense_algebra(prior):
    torch.manual_seed(1)
    z, mask = torch.randn(1, L).expand(40_000, -1), FIRST.expand(40_000, -1)
    drawn = prior.sample_missing(z, observed(mask)).detach()
    _, mean, spread = dense(prior, z[0], FIRST)
    np.testing.assert_allclose(drawn[:, 2:].mean(dim=0), mean, atol=0.04)
    np.testing.assert_allclose(torch.cov(drawn[:, 2:].T), spread, atol=0.08)
    assert torch.equal(drawn[:, :2], z[:, :2])


def test_gradients_of_charges_and_draws_are_those_of_dense_algebra():
    """Finite differences, for what is missing and what is not."""
    torch.manual_seed(0)
    prior = CoupledPrior(L, "mog_full", 3)
    with torch.no_grad():
        for parameter in prior.parameters():
            parameter.copy_(0.4 * torch.randn_like(parameter))
    prior.mark_initialised()
    z, mask = torch.randn(6, L, dtype=torch.float64, requires_grad=True), observed(mosaic(6))
    q = gaussian(torch.zeros(6, L, dtype=torch.float64), 1.0)

    def charge(latent: torch.Tensor) -> torch.Tensor:
        return prior.double().kl(q, latent, PriorContext(observed_dims=mask))

    def draw(latent: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(3)
        return prior.double().sample_missing(latent, mask)

    assert torch.autograd.gradcheck(charge, z)
    assert torch.autograd.gradcheck(draw, z)


def test_no_cell_is_factorised_for_itself(prior):
    """As many covariances as there are patterns and components, however many cells there are."""
    z, mask = torch.randn(400, L), mosaic(400)
    with Largest() as seen:
        prior.sample_missing(z, observed(mask))
        prior.kl(gaussian(z, 0.5), z, PriorContext(observed_dims=observed(mask)))
    assert seen.factorised == 4 * prior.n_components


class Largest(TorchDispatchMode):
    """Notes how many matrices are factorised at once."""

    factorised = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if "cholesky_ex" in str(func):
            self.factorised = max(self.factorised, args[0].shape[:-2].numel())
        return func(*args, **(kwargs or {}))


def test_draws_of_what_is_missing_reproduce_the_joint(prior):
    draws = prior(PriorContext()).sample((100_000,))
    completed = prior.sample_missing(draws, observed(FIRST.expand_as(draws)))
    assert torch.equal(completed[:, :2], draws[:, :2])
    assert torch.allclose(torch.cov(completed.T), torch.cov(draws.T), atol=0.05)


def test_what_is_missing_costs_nothing(prior):
    z = torch.randn(6, L)
    known = observed(FIRST.expand(6, L))
    q = gaussian(z, 0.5)
    kl = prior.kl(q, z, PriorContext(observed_dims=known))
    expected = Normal(z, 0.5).log_prob(z)[:, :2].sum(-1) - prior.marginal(slice(0, 2)).log_prob(z[:, :2])
    assert torch.allclose(kl, expected, atol=1e-4)
    other = torch.cat([z[:, :2], torch.full((6, 3), 7.0)], dim=1)
    assert torch.equal(prior.kl(gaussian(other, 0.5), other, PriorContext(observed_dims=known)), kl)


def test_it_learns_what_one_block_says_of_another():
    torch.manual_seed(0)
    shared = torch.randn(500, 1)
    latents = torch.cat([shared + 0.3 * torch.randn(500, 2), -shared + 0.3 * torch.randn(500, 3)], dim=1)
    known = torch.ones(500, L, dtype=torch.bool)
    known[:200, 2:] = False
    prior = CoupledPrior(L)
    prior.init_from(PosteriorSample(latents.where(known, 0.0), torch.full_like(latents, 0.1), observed_dims=known))
    found = prior.impute_missing(latents[:200], observed(known[:200])).loc
    assert torch.corrcoef(torch.stack([found[:, 3], -shared[:200, 0]]))[0, 1] > 0.9


def test_it_is_standard_normal_until_it_starts():
    prior, z = CoupledPrior(L), torch.randn(3, L)
    known = observed(FIRST.expand(3, L))
    expected = Normal(0.0, 1.0).log_prob(z).sum(-1)
    assert torch.allclose(prior(PriorContext()).log_prob(z), expected, atol=1e-5)
    assert torch.allclose(prior.impute_missing(z, known).loc[:, 2:], torch.zeros(3, 3))


def test_unknown_kind():
    with pytest.raises(ValueError, match="kind"):
        CoupledPrior(L, "cubic")
    with pytest.raises(ValueError, match="mog_full"):
        CoupledPrior(L, "gaussian", n_components=3)
