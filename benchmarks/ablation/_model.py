"""All that the benchmarks do inside a model; the rest of them keeps to its public methods.

C cells, M modalities, D_m latent dimensions of a modality, L of all together, G features, S draws.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

import torch
from torch.distributions import Normal

from mmvae._keys import COUPLED
from mmvae.analysis import two_sample_auc as two_sample_auc
from mmvae.model._reader import Reader
from mmvae.nn import dense
from mmvae.priors import CoupledPrior, MixtureOfGaussians, PosteriorSample

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mudata import MuData
    from torch import Tensor
    from torch.distributions import Distribution

    from mmvae import MultiVAE
    from mmvae.fusion import ObservedDims, PriorTerm
    from mmvae.module import Inference, Minibatch
    from mmvae.priors import PriorContext

BATCH_SIZE = 512
SCALE_OF_OBSERVED = 1e-4
TOTAL = "total"


def tie(model: MultiVAE) -> None:
    """Put one and the same mixture in the place of all modalities' priors."""
    (width,) = {prior.n_latent for prior in model.module.priors.values()}
    with torch.random.fork_rng():
        torch.manual_seed(model.seed)
        shared = TiedMixture(width)
    for name in list(model.module.priors):
        model.module.priors[name] = shared


def uncouple(model: MultiVAE) -> None:
    """Put the product of its marginals in the place of a trained model's coupled prior."""
    old = model.module.priors[COUPLED]
    assert isinstance(old, CoupledPrior)
    new = UncoupledPrior(old.n_latent, old.kind, old.n_components)
    new.load_state_dict(old.state_dict())
    new.blocks = blocks(model)
    model.module.priors[COUPLED] = new.to(old.loc.device).eval()
    model.module.fusion.set_joint_prior(new)
    model.remember(shared=None)


def blocks(model: MultiVAE) -> list[slice]:
    """Where each modality's latent is in the concatenation."""
    ends = accumulate(model.module.fusion.n_latent.values(), initial=0)
    return [slice(start, end) for start, end in pairwise(ends)]


def component_weights(model: MultiVAE) -> dict[str, Tensor]:
    """Weights of the components of each prior, ``(n_components,)``; one where it has none."""
    logits = {name: getattr(prior, "logits", torch.zeros(1)) for name, prior in model.module.priors.items()}
    return {name: own.detach().softmax(dim=0) for name, own in logits.items()}


def is_relative(model: MultiVAE, name: str) -> bool:
    """Whether a modality's rates are shares of a cell's total."""
    return model.module.likelihoods[name].relative


def minibatches(model: MultiVAE, mdata: MuData) -> Iterator[Minibatch]:
    """Minibatches of cells, in order."""
    return Reader(model).minibatches(mdata, None, BATCH_SIZE)


@torch.inference_mode()
def log_ratios(model: MultiVAE, minibatch: Minibatch, n_draws: int) -> tuple[Tensor, dict[str, Tensor]]:
    """Log p(x, z) - log q(z | x), ``(S, C)``, and the mean log q - log p of each latent, ``(C,)``, NaN where it has none.

    Under a coupled prior the sum is ``total`` and the single latents are held against the prior's marginals.
    """
    drawn = [_weighed(model, inference) for inference in _redrawn(model, minibatch, n_draws)]
    kls = {name: torch.stack([kl[name] for _, kl in drawn]).mean(dim=0) for name in drawn[0][1]}
    return torch.stack([ratio for ratio, _ in drawn]), kls


@torch.inference_mode()
def latent_draws(model: MultiVAE, minibatch: Minibatch) -> tuple[Tensor, Tensor]:
    """A draw of each posterior, NaN where a cell lacks the modality, and one of each prior, both ``(C, L)``."""
    (inference,) = _redrawn(model, minibatch, 1)
    columns = []
    for term in inference.prior_terms:
        p = model.module.priors[term.name](inference.contexts[term.name])
        drawn = p.sample() if p.batch_shape else p.sample((len(term.sample),))
        observed = term.mask[:, None] if term.observed_dims is None else term.observed_dims.mask
        columns.append(
            (torch.where(observed, term.sample, torch.nan), torch.where(term.mask[:, None], drawn, torch.nan))
        )
    seen, drawn = (torch.cat(parts, dim=1) for parts in zip(*columns, strict=True))
    return seen, drawn


@torch.inference_mode()
def withheld(model: MultiVAE, minibatch: Minibatch, name: str, n_draws: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Log-likelihood of the values of a modality that was not encoded, and its rates, both ``(n, G)``, for each draw.

    Of the n cells that have it and another. Rates are those of the first batch, free of the cells' own batches.
    """
    rows = minibatch.rows[name]
    scored = (minibatch.present.sum(dim=1) > 1)[rows]
    covariates = minibatch.in_batch(0).covariates_of(name)
    for inference in _redrawn(model, minibatch.without(name), n_draws):
        value = _log_likelihood(model, name, minibatch, inference.fused, weigh=False)
        yield value[scored], model.module.rates(name, inference.fused[rows], covariates)[scored]


class TiedMixture(MixtureOfGaussians):
    """One mixture for the latents of several modalities.

    Training shows it the latents of one modality after the other; it starts from all that it has been shown.
    """

    def __init__(self, n_latent: int, n_components: int = 16) -> None:
        super().__init__(n_latent, n_components)
        self.shown: list[PosteriorSample] = []

    def init_from(self, sample: PosteriorSample) -> None:
        """Start from all modalities' latents so far, pooled."""
        self.shown.append(replace(sample, hidden=None, observed_dims=None, labels=None))
        super().init_from(PosteriorSample.together(self.shown))


class UncoupledPrior(CoupledPrior):
    r""":math:`\prod_m p_m(z_m)`, of the marginals :math:`p_m` of a coupled prior.

    What a cell has says nothing of what it lacks. ``blocks`` says which dimensions are whose.
    """

    blocks: list[slice]

    def log_ratio(self, posterior: Distribution, sample: Tensor, context: PriorContext) -> Tensor:
        """Log q - log p at a draw, over the latents that were encoded, in nats, ``(C,)``."""
        observed = torch.ones_like(sample, dtype=torch.bool) if (dims := context.observed_dims) is None else dims.mask
        total = (posterior.base_dist.log_prob(sample) * observed).sum(dim=-1)  # type: ignore[attr-defined]
        for block in self.blocks:
            has = observed[:, block].all(dim=-1)
            total = total - torch.where(has, self.marginal(block).log_prob(sample[:, block]), 0.0)
        return total

    def impute_missing(self, latent: Tensor, observed_dims: ObservedDims) -> Normal:
        """Mean and spread of the marginals in dimensions that were not observed; the rest as given."""
        marginals = [self.marginal(block) for block in self.blocks]
        loc, variance = (torch.cat(parts) for parts in zip(*((p.mean, p.variance) for p in marginals), strict=True))
        scale = torch.where(observed_dims.mask, torch.full_like(latent, SCALE_OF_OBSERVED), variance.sqrt())
        return Normal(torch.where(observed_dims.mask, latent, loc), scale, validate_args=False)

    def sample_missing(self, latent: Tensor, observed_dims: ObservedDims) -> Tensor:
        """Draws of the marginals in dimensions that were not observed; the rest as given."""
        drawn = torch.cat([self.marginal(block).sample((len(latent),)) for block in self.blocks], dim=-1)
        return torch.where(observed_dims.mask, latent, drawn)


def _redrawn(model: MultiVAE, minibatch: Minibatch, n_draws: int) -> Iterator[Inference]:
    """Inference with ``n_draws`` draws of the latents, one after the other."""
    posteriors = model.module.encode(minibatch)
    for _ in range(n_draws):
        yield model.module.infer(minibatch, posteriors)


def _log_likelihood(model: MultiVAE, name: str, minibatch: Minibatch, fused: Tensor, *, weigh: bool) -> Tensor:
    """Log-likelihood of a modality's values in the cells that have it, given the fused latent of all, ``(n, G)``.

    Of a likelihood with latents of its own, one draw is taken; ``weigh`` corrects by its log ratio of prior to
    posterior, as a bound needs.
    """
    covariates, likelihood = minibatch.covariates_of(name), model.module.likelihoods[name]
    hidden = model.module.decoders[name](minibatch.take(name, fused), covariates)
    emission = likelihood(hidden, minibatch.size_factors[name], covariates.batch)
    value = emission.distribution.log_prob(dense(minibatch.values[name]))
    if weigh and emission.kl is not None:
        prior = likelihood._prior(covariates.batch)
        drawn = emission.distribution.mu1.log()
        value = value + prior.log_prob(drawn) - likelihood._background(hidden, prior).log_prob(drawn)
    return value


def _weighed(model: MultiVAE, inference: Inference) -> tuple[Tensor, dict[str, Tensor]]:
    """:func:`log_ratios` of one draw."""
    minibatch, total = inference.minibatch, torch.zeros(len(inference.fused))
    for name in model.modalities:
        value = _log_likelihood(model, name, minibatch, inference.fused, weigh=True)
        total = total + minibatch.place(name, value.sum(dim=-1))
    kls = {TOTAL: torch.zeros_like(total)}
    for term in inference.prior_terms:
        prior = model.module.priors[term.name]
        excess = prior.log_ratio(term.posterior, term.sample, inference.contexts[term.name])
        if prior.is_joint:
            kls |= _by_modality(model, prior, term)
        else:
            kls[term.name] = torch.where(term.mask, excess, torch.nan)
        kls[TOTAL] = kls[TOTAL] + torch.where(term.mask, excess, 0.0)
    return total - kls[TOTAL], kls


def _by_modality(model: MultiVAE, prior: CoupledPrior, term: PriorTerm) -> dict[str, Tensor]:
    own = term.posterior.base_dist.log_prob(term.sample)
    found = {}
    for name, block in zip(model.modalities, blocks(model), strict=True):
        excess = own[:, block].sum(dim=-1) - prior.marginal(block).log_prob(term.sample[:, block])
        found[name] = torch.where(term.observed_dims.mask[:, block].all(dim=-1), excess, torch.nan)
    return found
