"""The objective against the exact marginal likelihood of linear-Gaussian models."""

from __future__ import annotations

import math

import pytest
import torch
from scvi.distributions import NegativeBinomialMixture
from torch import nn
from torch.distributions import MultivariateNormal, Normal

from mmvae._config import CovariateConfig, ModalityConfig, ModelConfig, NetworkConfig
from mmvae._keys import CELLS, PRESENT, layer_key, rows_key
from mmvae.likelihoods import Likelihood
from mmvae.module import MultiVAEModule
from mmvae.module._objective import importance_bound

NAMES, D, G, SIGMA = ("a", "b"), 2, 5, 0.5
PRESENCE = torch.tensor([[1, 1]] * 4 + [[1, 0]] * 3 + [[0, 1]] * 3, dtype=torch.bool)
FUSIONS = {"concat": 2 * D, "poe": D}


class Exact(nn.Module):
    """Posterior from one modality of a linear-Gaussian model, its location off by ``shift``."""

    def __init__(self, weight: torch.Tensor, shift: float, with_prior: bool) -> None:
        super().__init__()
        self.weight, self.shift, self.prior = weight, shift, float(with_prior)

    def forward(self, values: torch.Tensor) -> Normal:
        precision = self.weight.square().sum(dim=0) / SIGMA**2 + self.prior
        loc = values @ self.weight / SIGMA**2 / precision + self.shift
        return Normal(loc, precision.rsqrt().expand_as(loc))


class Linear(nn.Module):
    """A decoder that hands the fused latent on."""

    def forward(self, fused: torch.Tensor, covariates: object) -> torch.Tensor:
        return fused


def loadings() -> dict[str, torch.Tensor]:
    """Orthogonal loadings, under which the exact posterior is a diagonal Gaussian, ``(G, D)`` by modality."""
    generator = torch.Generator().manual_seed(1)
    scale = torch.tensor([1.5, 0.7])
    return {n: torch.linalg.qr(torch.randn(G, G, generator=generator))[0][:, :D] * scale for n in NAMES}


def linear_module(fusion: str, prior: object = "normal", shift: float = 0.0) -> MultiVAEModule:
    priors = {"concat": dict.fromkeys(NAMES, prior), "poe": {"joint": prior}}[fusion]
    config = ModelConfig(
        {name: ModalityConfig(G, D, "normal") for name in NAMES},
        {"coupled": prior} if prior != "normal" else priors,
        fusion,
        NetworkConfig(n_hidden=FUSIONS[fusion]),
        CovariateConfig(),
    )
    module = MultiVAEModule(config).eval()
    for index, (name, weight) in enumerate(loadings().items()):
        module.encoders[name] = Exact(weight, shift, with_prior=fusion == "concat")
        module.decoders[name] = Linear()
        likelihood = module.likelihoods[name]
        block = slice(index * D, (index + 1) * D) if fusion == "concat" else slice(None)
        with torch.no_grad():
            likelihood.loc.weight.zero_()
            likelihood.loc.weight[:, block] = weight
            likelihood.loc.bias.zero_()
            likelihood.raw_scale.fill_(math.log(math.expm1(SIGMA - 0.05)))
    return module


def observations(copies: int = 1) -> dict[str, torch.Tensor]:
    """What a loader gives for the cells, all of them ``copies`` times over."""
    generator = torch.Generator().manual_seed(2)
    n_cells = copies * len(PRESENCE)
    tensors = {PRESENT: PRESENCE.repeat(copies, 1), CELLS: torch.arange(n_cells), "batch": torch.zeros(n_cells, 1)}
    for index, name in enumerate(NAMES):
        values = torch.randn(int(PRESENCE[:, index].sum()), G, generator=generator)
        tensors[layer_key(name)] = values.repeat(copies, 1)
        tensors[rows_key(name)] = tensors[PRESENT][:, index].nonzero()[:, 0]
    return tensors


def log_weights(module: MultiVAEModule, n_draws: int) -> torch.Tensor:
    """Log importance weights of draws of each cell, ``(n_draws, n_cells)``."""
    minibatch = module.minibatch(observations(n_draws))
    with torch.no_grad():
        return module.log_weight(minibatch, module.encode(minibatch)).reshape(n_draws, -1)


def exact_log_likelihood(fusion: str, covariance: torch.Tensor | None = None) -> torch.Tensor:
    """Log marginal likelihood of what each cell has, by the density of the observed features, ``(n_cells,)``."""
    weights, tensors = loadings(), observations()
    if fusion == "concat":
        together = torch.block_diag(*weights.values())
        latent = torch.eye(2 * D) if covariance is None else covariance
    else:
        together, latent = torch.cat(list(weights.values())), torch.eye(D)
    full = together @ latent @ together.T + SIGMA**2 * torch.eye(2 * G)
    found = []
    for cell, present in enumerate(PRESENCE):
        values = [
            tensors[layer_key(n)][(tensors[rows_key(n)] == cell).nonzero()[0, 0]]
            for n, has in zip(NAMES, present, strict=True)
            if has
        ]
        seen = present.repeat_interleave(G)
        found.append(MultivariateNormal(torch.zeros(int(seen.sum())), full[seen][:, seen]).log_prob(torch.cat(values)))
    return torch.stack(found)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_at_the_true_posterior_every_draw_has_the_weight_of_the_marginal_likelihood(fusion):
    weights = log_weights(linear_module(fusion), 3)
    assert torch.allclose(weights, exact_log_likelihood(fusion).expand(3, -1), atol=1e-4)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_with_another_posterior_the_bounds_lie_below_and_close_with_draws(fusion):
    torch.manual_seed(0)
    weights = log_weights(linear_module(fusion, shift=0.15), 4000)
    exact, elbo, tight = exact_log_likelihood(fusion), weights.mean(dim=0), importance_bound(weights)
    assert (elbo < exact - 0.01).all()
    assert (tight > elbo).all()
    assert torch.allclose(tight, exact, atol=0.05)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_the_elbo_is_the_mean_log_weight(fusion):
    torch.manual_seed(0)
    module = linear_module(fusion, shift=0.15)
    with torch.no_grad():
        losses = module(observations(2000))[-1]
    elbo = -(sum(losses.reconstruction_loss.values()) + sum(losses.kl_local.values())).reshape(2000, -1)
    weights = log_weights(module, 2000)
    error = (elbo.var(dim=0) / 2000 + weights.var(dim=0) / 2000).sqrt()
    assert ((elbo.mean(dim=0) - weights.mean(dim=0)).abs() < 5 * error + 1e-4).all()


def test_a_coupled_prior_is_exact_for_cells_of_one_modality_and_a_bound_for_others():
    torch.manual_seed(0)
    module = linear_module("concat", {"name": "coupled", "kind": "gaussian"})
    prior = module.priors["coupled"]
    cross = torch.tensor([[0.5, 0.0], [0.0, -0.4]])
    covariance = torch.eye(2 * D)
    covariance[:D, D:], covariance[D:, :D] = cross, cross.T
    factor = torch.linalg.cholesky(covariance - 1e-4 * torch.eye(2 * D))
    state = prior.state_dict()
    state["ready"], state["log_scale"] = torch.ones_like(state["ready"]), factor.diagonal().log()[None]
    state["lower"] = factor.tril(-1)[None]
    prior.load_state_dict(state)
    exact = exact_log_likelihood("concat", covariance)
    weights = log_weights(module, 4000)
    single = PRESENCE.sum(dim=1) == 1
    assert torch.allclose(weights[:, single], exact[single].expand(4000, -1), atol=1e-3)
    assert (weights.mean(dim=0)[~single] < exact[~single] - 0.01).all()
    assert torch.allclose(importance_bound(weights)[~single], exact[~single], atol=0.05)


def test_the_background_of_proteins_is_weighed_as_other_latent_variables_are():
    """One protein, whose marginal likelihood is an integral over its background."""
    likelihood = Likelihood.build("nb_mixture", n_features=1, n_hidden=4, n_batch=1).eval()
    with torch.no_grad():
        likelihood.prior_loc.weight.fill_(math.log(3))
        likelihood.prior_log_scale.weight.fill_(0)
        likelihood.background_log_scale.bias.fill_(0.5)
        likelihood.background_logits.bias.fill_(6.0)
        likelihood.log_phi.fill_(5.0)
        torch.manual_seed(0)
        n_draws, value = 200_000, torch.tensor([[30.0]])
        emission = likelihood(torch.zeros(n_draws, 4), torch.ones(n_draws, 1), torch.zeros(n_draws, 1))
        weights = emission.distribution.log_prob(value).sum(dim=-1) - emission.log_ratio
        grid = torch.linspace(-8, 10, 20_001)
        mixture = NegativeBinomialMixture(
            grid.exp()[:, None],
            grid.exp()[:, None] * likelihood._fold(torch.zeros(1, 4)),
            theta1=torch.full((1,), math.exp(5.0)),
            mixture_logits=torch.full((1,), 6.0),
        )
        density = mixture.log_prob(value).sum(dim=-1) + Normal(math.log(3), 1.0).log_prob(grid)
        exact = (density + math.log(float(grid[1] - grid[0]))).logsumexp(dim=0)
    assert float(importance_bound(weights[:, None])) == pytest.approx(float(exact), abs=0.02)
    assert float(emission.log_ratio.mean()) == pytest.approx(float(emission.kl.mean()), abs=0.02)
