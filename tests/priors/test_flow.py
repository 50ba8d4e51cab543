"""The flow."""

from __future__ import annotations

import builtins

import pytest
import torch
from torch.distributions import Distribution, Independent, Normal

from mmvae.priors import Flow, PosteriorSample, PriorContext

D = 3
NOTHING = PriorContext()


def started(loc: torch.Tensor) -> Flow:
    prior = Flow(D)
    prior.init_from(PosteriorSample(loc, torch.full_like(loc, 0.3)))
    return prior


def test_it_is_standard_normal_until_it_starts():
    z = torch.randn(5, D)
    assert torch.allclose(Flow(D)(NOTHING).log_prob(z), Normal(0.0, 1.0).log_prob(z).sum(-1))


def test_it_starts_as_the_gaussian_of_the_latents():
    loc = 3 + 2 * torch.randn(500, D)
    expected = Independent(Normal(loc.mean(dim=0), (loc.var(dim=0) + 0.3**2).sqrt()), 1)
    z = torch.randn(5, D)
    assert torch.allclose(started(loc)(NOTHING).log_prob(z), expected.log_prob(z), atol=1e-5)


def test_the_map_has_the_jacobian_that_it_says():
    prior = started(torch.randn(500, D)).double()
    with torch.no_grad():
        for parameter in prior.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    z = torch.randn(D, dtype=torch.float64)

    def noise(value: torch.Tensor) -> torch.Tensor:
        return prior.maps()((value - prior.mean) / prior.sd)

    volume = torch.autograd.functional.jacobian(noise, z).slogdet().logabsdet
    expected = Normal(0.0, 1.0).log_prob(noise(z)).sum() + volume
    assert prior(NOTHING).log_prob(z).item() == pytest.approx(expected.item(), abs=1e-6)


def test_it_learns_what_no_gaussian_has():
    torch.manual_seed(0)
    first = torch.randn(1000, 1)
    bent = torch.cat([first, first.square() + 0.2 * torch.randn(1000, 1), torch.randn(1000, 1)], dim=1)
    prior = started(bent)
    before = prior(NOTHING).log_prob(bent).mean()
    optimizer = torch.optim.Adam(prior.parameters(), 1e-2)
    for _ in range(150):
        optimizer.zero_grad()
        (prior.regularizer() - prior(NOTHING).log_prob(bent).mean()).backward()
        optimizer.step()
    assert prior(NOTHING).log_prob(bent).mean() > before + 0.5


def test_one_dimension_is_refused():
    with pytest.raises(ValueError, match="at least 2"):
        Flow(1)


def test_torch_goes_on_validating_its_arguments():
    Flow(D)
    assert Distribution._validate_args
    with pytest.raises(ValueError, match="scale"):
        Normal(0.0, -1.0)


def test_without_zuko_it_says_what_to_install(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("zuko"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"mmvae\[flows\]"):
        Flow(D)
