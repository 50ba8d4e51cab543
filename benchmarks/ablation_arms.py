"""The arms of the ladder: models that differ in the prior and in nothing else.

C cells, L latent dimensions of all modalities together.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

import torch
from torch.distributions import Normal

from mmvae import MultiVAE
from mmvae.priors import CoupledPrior, MixtureOfGaussians, PosteriorSample, Prior

if TYPE_CHECKING:
    from mudata import MuData
    from torch import Tensor
    from torch.distributions import Distribution

    from mmvae.fusion import ObservedDims
    from mmvae.priors import PriorContext

COUPLED = "coupled"
SPREAD_OF_KNOWN = 1e-4
PRIORS: dict[str, Any] = {
    "A0": "normal",
    "A1": "gaussian",
    "A2": "mog",
    "A3": "mog",
    "A4g": {"name": COUPLED, "kind": "gaussian"},
    "A4f": {"name": COUPLED, "kind": "mog_full"},
}
TIED = "A3"
# Not trained: the arm named second with its coupling taken out.
CUT = {"A5g": "A4g", "A5f": "A4f"}


def build(arm: str, train: MuData, batch: str | None, seed: int, kl_scale: float) -> MultiVAE:
    """An untrained model; ``arm`` is one of the ladder's or the name of a prior."""
    MultiVAE.setup_mudata(train, batch_key=batch)
    model = MultiVAE(train, prior=PRIORS.get(arm, arm), seed=seed, kl_scale=kl_scale)
    if arm == TIED:
        tie(model)
    return model


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
    old: Prior = model.module.priors[COUPLED]
    assert isinstance(old, CoupledPrior)
    new = UncoupledPrior(old.n_latent, old.kind, old.n_components)
    new.load_state_dict(old.state_dict())
    new.blocks = blocks(model)
    model.module.priors[COUPLED] = new.to(old.loc.device).eval()
    model.module.fusion.couple(new)


def blocks(model: MultiVAE) -> list[slice]:
    """Where each modality's latent is in the concatenation."""
    ends = accumulate(model.module.fusion.n_latent.values(), initial=0)
    return [slice(start, end) for start, end in pairwise(ends)]


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
        """Log q - log p at a draw, over the blocks that were encoded, in nats, ``(C,)``."""
        observed = context.observed_dims
        known = torch.ones_like(sample, dtype=torch.bool) if observed is None else observed.mask
        total = (posterior.base_dist.log_prob(sample) * known).sum(dim=-1)  # type: ignore[attr-defined]
        for block in self.blocks:
            has = known[:, block].all(dim=-1)
            total = total - torch.where(has, self.marginal(block).log_prob(sample[:, block]), 0.0)
        return total

    def impute_missing(self, latent: Tensor, observed_dims: ObservedDims) -> Normal:
        """Mean and spread of the marginals where dimensions are missing; the rest as given."""
        marginals = [self.marginal(block) for block in self.blocks]
        loc, variance = (torch.cat(parts) for parts in zip(*((p.mean, p.variance) for p in marginals), strict=True))
        known = observed_dims.mask
        spread = torch.where(known, torch.full_like(latent, SPREAD_OF_KNOWN), variance.sqrt())
        return Normal(torch.where(known, latent, loc), spread, validate_args=False)

    def sample_missing(self, latent: Tensor, observed_dims: ObservedDims) -> Tensor:
        """Draws of the marginals where dimensions are missing; the rest as given."""
        drawn = torch.cat([self.marginal(block).sample((len(latent),)) for block in self.blocks], dim=-1)
        return torch.where(observed_dims.mask, latent, drawn)
