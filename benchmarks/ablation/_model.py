"""All that the benchmarks do inside a model; the rest of them keeps to its public methods.

C cells, M modalities, D_m latent dimensions of a modality, L of all together, G features, S draws.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

import torch
from scvi import REGISTRY_KEYS
from torch.distributions import Normal

from mmvae._keys import COUPLED, EXPERTS, LATENT, PRESENT, QZ, Z, layer_key
from mmvae.model._two_sample import two_sample_auc as two_sample_auc
from mmvae.module import covariates_of
from mmvae.priors import CoupledPrior, MixtureOfGaussians, PosteriorSample

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mudata import MuData
    from torch import Tensor
    from torch.distributions import Distribution

    from mmvae import MultiVAE
    from mmvae.fusion import Priced
    from mmvae.priors import PriorContext

BATCH_SIZE = 512
SPREAD_OF_KNOWN = 1e-4
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
    model.module.fusion.couple(new)
    model.shared_ = None


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


def minibatches(model: MultiVAE, mdata: MuData) -> Iterator[dict[str, Tensor]]:
    """Minibatches of cells, in order."""
    return model._make_data_loader(adata=model._validate_anndata(mdata), batch_size=BATCH_SIZE)


@torch.inference_mode()
def log_ratios(model: MultiVAE, tensors: dict[str, Tensor], n_draws: int) -> tuple[Tensor, dict[str, Tensor]]:
    """Log p(x, z) - log q(z | x), ``(S, C)``, and the mean log q - log p of each latent, ``(C,)``, NaN where it has none.

    Under a coupled prior the sum is ``total`` and the single latents are held against the prior's marginals.
    """
    drawn = [_weighed(model, tensors, outputs) for outputs in _redrawn(model, tensors, n_draws)]
    kls = {name: torch.stack([kl[name] for _, kl in drawn]).mean(dim=0) for name in drawn[0][1]}
    return torch.stack([ratio for ratio, _ in drawn]), kls


@torch.inference_mode()
def latent_draws(model: MultiVAE, tensors: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """A draw of each posterior, NaN where a cell lacks the modality, and one of each prior, both ``(C, L)``."""
    (outputs,) = _redrawn(model, tensors, 1)
    columns: dict[str, tuple[Tensor, Tensor]] = {}
    for prior, latent, context in model.module.priced(outputs, model.module.annotations(tensors)):
        p = prior(context)
        drawn = p.sample() if p.batch_shape else p.sample((len(latent.sample),))
        known = torch.ones_like(latent.sample, dtype=torch.bool) if latent.known is None else latent.known
        seen = torch.where(known, latent.sample, torch.nan)
        empty = drawn.new_full((len(latent.rows), drawn.shape[1]), torch.nan)
        rows = latent.rows[:, None].expand_as(empty)
        columns[latent.name] = empty.masked_scatter(rows, seen), empty.masked_scatter(rows, drawn)
    seen, drawn = (torch.cat(parts, dim=1) for parts in zip(*columns.values(), strict=True))
    return seen, drawn


@torch.inference_mode()
def withheld(model: MultiVAE, tensors: dict[str, Tensor], name: str, n_draws: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Log-likelihood of the values of a modality that was not encoded, and its rates, both ``(n, G)``, for each draw.

    Of the n cells that have it and another. Rates are those of the first batch, free of the cells' own batches.
    """
    index = model.modalities.index(name)
    present = tensors[PRESENT]
    rows = present[:, index]
    scored = (present.sum(dim=1) > 1)[rows]
    hidden = tensors | {PRESENT: present.clone(), layer_key(name): tensors[layer_key(name)][:0]}
    hidden[PRESENT][:, index] = False
    first = tensors | {REGISTRY_KEYS.BATCH_KEY: torch.zeros_like(tensors[REGISTRY_KEYS.BATCH_KEY])}
    covariates = covariates_of(first).rows(rows)
    for outputs in _redrawn(model, hidden, n_draws):
        value = _log_likelihood(model, name, tensors, outputs[Z], weigh=False)
        yield value[scored], model.module.rates(name, outputs[Z][rows], covariates)[scored]


class TiedMixture(MixtureOfGaussians):
    """One mixture for the latents of several modalities.

    Training shows it the latents of one modality after the other; it starts from all that it has been shown.
    """

    def __init__(self, n_latent: int, n_components: int = 16) -> None:
        super().__init__(n_latent, n_components)
        self.shown: list[PosteriorSample] = []

    def init_from(self, sample: PosteriorSample) -> None:
        """Start from all modalities' latents so far, pooled."""
        self.shown.append(replace(sample, hidden=None, known=None, labels=None))
        super().init_from(PosteriorSample.together(self.shown))


class UncoupledPrior(CoupledPrior):
    r""":math:`\prod_m p_m(z_m)`, of the marginals :math:`p_m` of a coupled prior.

    What a cell has says nothing of what it lacks. ``blocks`` says which dimensions are whose.
    """

    blocks: list[slice]

    def log_ratio(self, posterior: Distribution, sample: Tensor, context: PriorContext) -> Tensor:
        """Log q - log p at a draw, over the blocks that were encoded, in nats, ``(C,)``."""
        known = torch.ones_like(sample, dtype=torch.bool) if context.known is None else context.known
        total = (posterior.base_dist.log_prob(sample) * known).sum(dim=-1)  # type: ignore[attr-defined]
        for block in self.blocks:
            has = known[:, block].all(dim=-1)
            total = total - torch.where(has, self.marginal(block).log_prob(sample[:, block]), 0.0)
        return total

    def expected(self, latent: Tensor, known: Tensor) -> Normal:
        """Mean and spread of the marginals where ``known`` does not mark; the rest as given."""
        marginals = [self.marginal(block) for block in self.blocks]
        loc, variance = (torch.cat(parts) for parts in zip(*((p.mean, p.variance) for p in marginals), strict=True))
        spread = torch.where(known, torch.full_like(latent, SPREAD_OF_KNOWN), variance.sqrt())
        return Normal(torch.where(known, latent, loc), spread, validate_args=False)

    def completed(self, latent: Tensor, known: Tensor) -> Tensor:
        """Draws of the marginals where ``known`` does not mark; the rest as given."""
        drawn = torch.cat([self.marginal(block).sample((len(latent),)) for block in self.blocks], dim=-1)
        return torch.where(known, latent, drawn)


def _redrawn(model: MultiVAE, tensors: dict[str, Tensor], n_draws: int) -> Iterator[dict[str, Any]]:
    """Outputs of inference with ``n_draws`` draws of the latents, one after the other."""
    module = model.module
    outputs = module.inference(**module._get_inference_input(tensors))
    for _ in range(n_draws):
        latent = module.fusion.sample(outputs[EXPERTS], outputs[QZ])
        yield outputs | {LATENT: latent, Z: module.fusion.fuse(latent, outputs[EXPERTS])}


def _log_likelihood(model: MultiVAE, name: str, tensors: dict[str, Tensor], z: Tensor, *, weigh: bool) -> Tensor:
    """Log-likelihood of a modality's values in the cells that have it, given the fused latent, ``(n_present, G)``.

    Of a likelihood with latents of its own, one draw is taken; ``weigh`` corrects by its log ratio of prior to
    posterior, as a bound needs.
    """
    module = model.module
    rows = tensors[PRESENT][:, model.modalities.index(name)]
    covariates = covariates_of(tensors).rows(rows)
    likelihood = module.likelihoods[name]
    hidden = module.decoders[name](z[rows], covariates)
    emission = likelihood(hidden, module.size_factor(tensors, name), covariates.batch)
    value = emission.distribution.log_prob(tensors[layer_key(name)])
    if weigh and emission.kl is not None:
        prior = likelihood._prior(covariates.batch)
        drawn = emission.distribution.mu1.log()
        value = value + prior.log_prob(drawn) - likelihood._background(hidden, prior).log_prob(drawn)
    return value


def _weighed(model: MultiVAE, tensors: dict[str, Tensor], outputs: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
    """:func:`log_ratios` of one draw."""
    present = tensors[PRESENT]
    total = torch.zeros(len(present))
    for index, name in enumerate(model.modalities):
        value = _log_likelihood(model, name, tensors, outputs[Z], weigh=True)
        total[present[:, index]] += value.sum(dim=-1)
    kls = {TOTAL: torch.zeros_like(total)}
    for prior, latent, context in model.module.priced(outputs, model.module.annotations(tensors)):
        excess = prior.log_ratio(latent.posterior, latent.sample, context)
        if prior.couples:
            kls |= _by_modality(model, prior, latent)
        else:
            kls[latent.name] = torch.full_like(total, torch.nan).masked_scatter(latent.rows, excess)
        kls[TOTAL][latent.rows] += excess
    return total - kls[TOTAL], kls


def _by_modality(model: MultiVAE, prior: CoupledPrior, latent: Priced) -> dict[str, Tensor]:
    own = latent.posterior.base_dist.log_prob(latent.sample)
    found = {}
    for name, block in zip(model.modalities, blocks(model), strict=True):
        excess = own[:, block].sum(dim=-1) - prior.marginal(block).log_prob(latent.sample[:, block])
        found[name] = torch.where(latent.known[:, block].all(dim=-1), excess, torch.nan)
    return found
