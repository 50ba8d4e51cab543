"""The mixture of the modalities' posteriors."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from mmvae.fusion import Experts
from mmvae.priors import MMVM, PriorContext

D, N = 3, 4
ENCODED = torch.tensor([[1, 1, 1], [1, 1, 0], [1, 0, 1], [1, 0, 0]], dtype=torch.bool)


@pytest.fixture
def experts() -> Experts:
    torch.manual_seed(0)
    counts = ENCODED.sum(dim=0).tolist()
    posteriors = {
        name: Normal((2 * torch.randn(n, D)).requires_grad_(), torch.rand(n, D) + 0.3)
        for name, n in zip("abc", counts, strict=True)
    }
    return Experts(posteriors, ENCODED)


def components(experts: Experts, row: int) -> list[Normal]:
    """What stands in the mixture of one cell."""
    found = [Normal(torch.zeros(D), torch.ones(D))]
    for name, q in experts.posteriors.items():
        if experts.rows(name)[row]:
            index = int(experts.rows(name)[:row].sum())
            found.append(Normal(q.loc[index], q.scale[index]))
    return found


def test_density_is_the_even_mixture_of_what_a_cell_has(experts):
    z = torch.randn(N, D)
    found = MMVM(D)(PriorContext(experts=experts)).log_prob(z)
    for row in range(N):
        each = torch.stack([c.log_prob(z[row]).sum() for c in components(experts, row)])
        assert found[row].item() == pytest.approx((each.logsumexp(0) - math.log(len(each))).item(), abs=1e-4)


def test_cost_is_the_mean_of_the_divergences(experts):
    q = Independent(experts.posteriors["a"], 1)
    found = MMVM(D).kl(q, q.rsample(), PriorContext(experts=experts))
    for row in range(N):
        own = Normal(experts.posteriors["a"].loc[row], experts.posteriors["a"].scale[row])
        each = torch.stack([kl_divergence(own, c).sum() for c in components(experts, row)])
        assert found[row].item() == pytest.approx(each.mean().item(), rel=1e-4)


def test_cost_does_not_saturate(experts):
    apart = {name: Normal(q.loc + 50 * i, q.scale) for i, (name, q) in enumerate(experts.posteriors.items())}
    context = PriorContext(experts=Experts(apart, ENCODED))
    q = Independent(apart["a"], 1)
    prior, z = MMVM(D), q.rsample()
    assert (prior.log_ratio(q, z, context) < math.log(4) + 1e-4).all()
    assert (prior.kl(q, z, context)[:3] > 100).all()


def test_a_modality_that_a_cell_lacks_gets_no_gradient(experts):
    q = Independent(experts.posteriors["a"], 1)
    MMVM(D).kl(q, q.rsample(), PriorContext(experts=experts))[3].backward()
    assert experts.posteriors["a"].loc.grad[3].abs().sum() > 0
    assert all(experts.posteriors[name].loc.grad.abs().sum() == 0 for name in "bc")


def test_it_is_standard_normal_where_there_are_no_posteriors():
    z = torch.randn(N, D)
    assert torch.allclose(MMVM(D)(PriorContext()).log_prob(z), Normal(0.0, 1.0).log_prob(z).sum(-1))
