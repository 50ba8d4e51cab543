"""The mixture of the modalities' posteriors."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from mmvae.fusion import Posteriors
from mmvae.priors import MMVM, PriorContext

D, N = 3, 4
ENCODED = torch.tensor([[1, 1, 1], [1, 1, 0], [1, 0, 1], [1, 0, 0]], dtype=torch.bool)


@pytest.fixture
def posteriors() -> Posteriors:
    torch.manual_seed(0)
    normals = {}
    for name, has in zip("abc", ENCODED.T, strict=True):
        loc, scale = torch.where(has[:, None], 2 * torch.randn(N, D), 0.0), torch.rand(N, D) + 0.3
        normals[name] = Normal(loc.requires_grad_(), torch.where(has[:, None], scale, 1.0))
    return Posteriors(normals, ENCODED)


def components(posteriors: Posteriors, row: int) -> list[Normal]:
    """What stands in the mixture of one cell."""
    own = [Normal(q.loc[row], q.scale[row]) for n, q in posteriors.normals.items() if posteriors.mask(n)[row]]
    return [Normal(torch.zeros(D), torch.ones(D)), *own]


def test_density_is_the_even_mixture_of_what_a_cell_has(posteriors):
    z = torch.randn(N, D)
    found = MMVM(D)(PriorContext(posteriors=posteriors)).log_prob(z)
    for row in range(N):
        each = torch.stack([c.log_prob(z[row]).sum() for c in components(posteriors, row)])
        assert found[row].item() == pytest.approx((each.logsumexp(0) - math.log(len(each))).item(), abs=1e-4)


def test_cost_is_the_mean_of_the_divergences(posteriors):
    q = Independent(posteriors.normals["a"], 1)
    found = MMVM(D).kl(q, q.rsample(), PriorContext(posteriors=posteriors))
    for row in range(N):
        own = Normal(posteriors.normals["a"].loc[row], posteriors.normals["a"].scale[row])
        each = torch.stack([kl_divergence(own, c).sum() for c in components(posteriors, row)])
        assert found[row].item() == pytest.approx(each.mean().item(), rel=1e-4)


def test_cost_does_not_saturate(posteriors):
    apart = {name: Normal(q.loc + 50 * i, q.scale) for i, (name, q) in enumerate(posteriors.normals.items())}
    context = PriorContext(posteriors=Posteriors(apart, ENCODED))
    q = Independent(apart["a"], 1)
    prior, z = MMVM(D), q.rsample()
    assert (prior.log_ratio(q, z, context) < math.log(4) + 1e-4).all()
    assert (prior.kl(q, z, context)[:3] > 100).all()


def test_a_modality_that_a_cell_lacks_gets_no_gradient(posteriors):
    q = Independent(posteriors.normals["a"], 1)
    MMVM(D).kl(q, q.rsample(), PriorContext(posteriors=posteriors))[3].backward()
    assert posteriors.normals["a"].loc.grad[3].abs().sum() > 0
    assert all(posteriors.normals[name].loc.grad.abs().sum() == 0 for name in "bc")


def test_it_is_standard_normal_where_there_are_no_posteriors():
    z = torch.randn(N, D)
    assert torch.allclose(MMVM(D)(PriorContext()).log_prob(z), Normal(0.0, 1.0).log_prob(z).sum(-1))
