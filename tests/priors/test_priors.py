"""Properties that every prior has."""

from __future__ import annotations

import copy
import json
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, MultivariateNormal, Normal, kl_divergence

from mmvae.fusion import Posteriors
from mmvae.graph import CellGraph
from mmvae.nn import Encoder
from mmvae.priors import MixtureOfGaussians, PosteriorSample, Prior, PriorContext, StandardNormal

D, H, N = 2, 16, 400
SIZES = {"n_latent": D, "n_hidden": H, "n_labels": 2, "n_categories": [3]}


def context_of(n: int, encoder: Encoder | None = None) -> PriorContext:
    """What priors may look at of ``n`` cells."""
    encoded = torch.ones(n, 2, dtype=torch.bool)
    encoded[1::2, 1] = False
    normals = {"a": Normal(torch.randn(n, D), torch.full((n, D), 0.5))}
    normals["b"] = Normal(torch.where(encoded[:, 1:], normals["a"].loc + 2, 0.0), torch.ones(n, D))
    covariates = torch.arange(n)[:, None] % SIZES["n_categories"][0]
    posteriors = Posteriors(normals, encoded)
    return PriorContext(encoder=encoder, covariates=covariates, cells=torch.arange(n), posteriors=posteriors)


def ring(loc: torch.Tensor, scale: float) -> CellGraph:
    """Cells in a ring, each with two neighbours, and their posteriors."""
    n = len(loc)
    graph = sp.diags([1.0, 1.0, 1.0, 1.0], [1, -1, n - 1, 1 - n], shape=(n, n), format="csr")
    found = CellGraph(graph, np.ones(n, dtype=bool))
    found.fill(loc, torch.full_like(loc, scale**2))
    return found


def started(name: str, n: int = 1) -> tuple[Prior, PriorContext]:
    """A prior under way, and a context of ``n`` cells."""
    torch.manual_seed(0)
    encoder = Encoder(5, D, n_hidden=H, n_layers=1, dropout_rate=0.1).eval()
    prior = Prior.build(name, **SIZES)
    hidden = encoder.hidden(torch.randn(N, 5)).detach()
    labels = torch.randint(0, 2, (N,))
    loc = torch.randn(N, D) + 2 * labels[:, None]
    prior.set_graph(ring(loc, 0.3))
    prior.init_from(PosteriorSample(loc, torch.full((N, D), 0.3), hidden, labels=labels))
    with torch.no_grad():
        for parameter in prior.parameters():  # off the start, where some have no gradient
            parameter.add_(0.1 * torch.randn_like(parameter))
    return prior, context_of(n, encoder)


def gaussian(loc: torch.Tensor, scale: float | torch.Tensor) -> Independent:
    return Independent(Normal(loc, torch.as_tensor(scale).expand_as(loc)), 1)


@pytest.fixture(params=sorted(Prior.registry))
def name(request) -> str:
    return request.param


def test_density_integrates_to_one(name):
    prior, context = started(name)
    axis = torch.linspace(-12, 12, 400)
    grid = torch.cartesian_prod(axis, axis)
    cell = (axis[1] - axis[0]) ** 2
    with torch.no_grad():
        total = prior(context).log_prob(grid).exp().sum() * cell
    assert total == pytest.approx(1.0, abs=0.02)


def test_draws_follow_the_density(name):
    prior, context = started(name)
    axis = torch.linspace(-12, 12, 300)
    grid = torch.cartesian_prod(axis, axis)
    with torch.no_grad():
        weight = prior(context).log_prob(grid).softmax(dim=0)[:, None]
        draws = prior(context).sample((40_000,)).reshape(-1, D)
    mean = (weight * grid).sum(dim=0)
    assert torch.allclose(draws.mean(dim=0), mean, atol=0.05)
    assert torch.allclose(draws.var(dim=0), (weight * (grid - mean).square()).sum(dim=0), rtol=0.05)


def test_gradient_reaches_every_parameter(name):
    prior, context = started(name, 64)
    q = gaussian(torch.randn(64, D).requires_grad_(), 0.5)
    prior.kl(q, q.rsample(), context).sum().backward()
    learned = [p for p in prior.parameters() if p.requires_grad]
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in learned)
    assert all(p.grad.abs().sum() > 0 for p in learned)


def test_kl_of_no_cells_is_empty(name):
    prior, context = started(name, 0)
    q = gaussian(torch.zeros(0, D), 1.0)
    assert prior.kl(q, q.rsample(), context).shape == (0,)
    assert prior.log_ratio(q, q.rsample(), context).shape == (0,)


def test_average_sampled_kl_is_not_negative(name):
    prior, context = started(name)
    context = replace(context, cells=torch.zeros(20_000, dtype=torch.long))
    q = gaussian(torch.randn(1, D).expand(20_000, D), 0.4)
    with torch.no_grad():
        assert prior.kl(q, q.sample(), context).mean() > -0.01


def test_kl_is_the_mean_log_ratio_or_an_upper_bound(name):
    prior, context = started(name)
    context = replace(context, cells=torch.zeros(20_000, dtype=torch.long))
    q = gaussian(torch.randn(1, D).expand(20_000, D), 0.4)
    with torch.no_grad():
        kl = prior.kl(q, q.sample(), context).mean()
        ratio = prior.log_ratio(q, q.sample(), context).mean()
    assert kl > ratio - 0.03
    if name != "mmvm":
        assert kl == pytest.approx(float(ratio), abs=0.03)


def test_cost_of_a_cell_does_not_depend_on_the_others(name):
    prior, context = started(name, 6)
    q = gaussian(torch.randn(6, D), 0.4)
    z = q.sample()
    every = prior.kl(q, z, context)
    rows = torch.tensor([False, True, True, False, False, True])
    normals = {name: Normal(q.loc[rows], q.scale[rows]) for name, q in context.posteriors.normals.items()}
    few = replace(
        context,
        covariates=context.covariates[rows],
        cells=context.cells[rows],
        posteriors=Posteriors(normals, context.posteriors.encoded[rows]),
    )
    assert torch.allclose(prior.kl(gaussian(q.mean[rows], 0.4), z[rows], few), every[rows], atol=1e-5)


def test_state_survives_a_round_trip(name):
    prior, context = started(name)
    again = Prior.build(prior.spec(), **SIZES)
    again.load_state_dict(prior.state_dict())
    z = torch.randn(10, D)
    assert torch.equal(prior(context).log_prob(z), again(context).log_prob(z))


@pytest.mark.parametrize("copied", ["deepcopy", "load", "file"])
def test_an_initialised_prior_is_so_wherever_its_state_goes(name, copied, tmp_path):
    prior, context = started(name)
    if copied == "deepcopy":
        again = copy.deepcopy(prior)
    else:
        again, state = Prior.build(prior.spec(), **SIZES), prior.state_dict()
        if copied == "file":
            torch.save(state, tmp_path / "state.pt")
            state = torch.load(tmp_path / "state.pt")
        torch.nn.ModuleDict({"inside": again}).load_state_dict({f"inside.{key}": v for key, v in state.items()})
    assert again.is_initialised
    z = torch.randn(10, D)
    assert torch.equal(prior(context).log_prob(z), again(context).log_prob(z))


def test_the_state_of_an_earlier_time_is_that_of_a_prior_that_is_not_initialised(name):
    prior = Prior.build(name, **SIZES)
    if prior.is_initialised:
        pytest.skip("needs no initialisation")
    earlier = copy.deepcopy(prior.state_dict())
    prior.mark_initialised()
    prior.load_state_dict(earlier)
    assert not prior.is_initialised
    z = torch.randn(10, D)
    assert torch.allclose(prior(PriorContext()).log_prob(z), Normal(0.0, 1.0).log_prob(z).sum(-1))
    assert not copy.deepcopy(prior).is_initialised


def test_on_several_devices_every_parameter_has_a_gradient_before_the_prior_is_initialised(name, monkeypatch):
    prior = Prior.build(name, **SIZES)
    if prior.is_initialised:
        pytest.skip("needs no initialisation")
    # Elsewhere none has: Adam would count the steps, and the first ones after the initialisation would be longer.
    assert not prior.regularizer().requires_grad
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    prior.regularizer().backward()
    assert all(p.grad is not None and not p.grad.any() for p in prior.parameters() if p.requires_grad)


def test_the_density_is_made_once_for_a_kl(name):
    prior, context = started(name, 5)
    calls = []
    forward = prior.forward
    prior.forward = lambda given: calls.append(1) or forward(given)
    q = gaussian(torch.randn(5, D), 0.4)
    prior.kl(q, q.sample(), context)
    assert len(calls) <= 1


def test_spec_is_plain(name):
    prior, _ = started(name)
    assert json.loads(json.dumps(prior.spec())) == prior.spec()


def test_closed_form_kl_of_the_standard_normal():
    q = gaussian(torch.randn(7, D), torch.rand(7, D) + 0.1)
    expected = kl_divergence(q.base_dist, Normal(0.0, 1.0)).sum(-1)
    assert torch.allclose(StandardNormal(D).kl(q, q.rsample(), PriorContext()), expected)


def test_mixture_is_standard_normal_until_it_starts():
    z = torch.randn(5, D)
    expected = Independent(Normal(torch.zeros(D), torch.ones(D)), 1).log_prob(z)
    assert torch.allclose(MixtureOfGaussians(D)(PriorContext()).log_prob(z), expected)


def test_mixture_equals_torch_mixture_of_multivariate_normals():
    prior, context = started("mog")
    covariance = torch.diag_embed((2 * prior.log_scale.clamp(-2.5, 1.5)).exp())
    expected = MixtureSameFamily(Categorical(logits=prior.logits), MultivariateNormal(prior.loc, covariance))
    z = torch.randn(50, D)
    assert torch.allclose(prior(context).log_prob(z), expected.log_prob(z), atol=1e-4)


def test_mixture_finds_separate_clusters():
    loc = torch.cat([torch.randn(200, D) * 0.1 - 4, torch.randn(200, D) * 0.1 + 4])
    prior = MixtureOfGaussians(D, n_components=4)
    prior.init_from(PosteriorSample(loc, torch.full_like(loc, 0.1)))
    log_density = prior(PriorContext()).log_prob(torch.tensor([[-4.0, -4.0], [4.0, 4.0], [0.0, 0.0]]))
    assert log_density[0] > log_density[2] + 5
    assert log_density[1] > log_density[2] + 5


def test_mixture_starts_with_fewer_cells_than_components():
    prior = MixtureOfGaussians(D, n_components=16)
    prior.init_from(PosteriorSample(torch.randn(5, D), torch.ones(5, D)))
    assert torch.isfinite(prior(PriorContext()).log_prob(torch.zeros(1, D))).all()


def test_a_prior_of_ones_own_is_built_by_name():
    class Laplace(Prior, name="laplace_for_test"):
        def __init__(self, n_latent: int, width: float = 1.0) -> None:
            super().__init__(n_latent)
            self.width = width

        def forward(self, context):
            return Independent(torch.distributions.Laplace(torch.zeros(self.n_latent), self.width), 1)

    try:
        prior = Prior.build({"name": "laplace_for_test", "width": 2.0}, n_latent=3, n_hidden=4)
        assert prior.spec() == {"name": "laplace_for_test", "n_latent": 3, "width": 2.0}
        q = gaussian(torch.zeros(4, 3), 1.0)
        assert prior.kl(q, q.rsample(), PriorContext()).shape == (4,)
    finally:
        del Prior.registry["laplace_for_test"]
