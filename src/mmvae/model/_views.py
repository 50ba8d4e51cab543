"""A modality's own view of cells, against the prior of its latent: C cells, D_m dimensions, S draws."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import torch
from torch.distributions import Independent, Normal

from mmvae._keys import EXPERTS
from mmvae.fusion import Priced

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor
    from torch.distributions import Distribution

    from mmvae.module import MultiVAEModule
    from mmvae.priors import CoupledPrior, Prior, PriorContext

N_DRAWS = 16


@dataclass(frozen=True)
class View:
    """What one modality says of the cells that have it.

    ``rows``, boolean, ``(n_minibatch,)``, marks these cells; ``posterior`` has a row for each of them,
    ``(n_cells, D_m)``; ``prior`` is that of the latent which holds the view in the dimensions ``block``, and
    ``context`` what it may look at.
    """

    name: str
    rows: Tensor
    posterior: Normal
    prior: Prior
    context: PriorContext
    block: slice

    def information(self) -> Tensor:
        r""":math:`KL(q_m \| p_m)` in nats, ``(n_cells,)``.

        Where there is no closed form, the mean over 16 draws whose moments are those of q, so that the part that a
        Gaussian would have is exact.
        """
        q = Independent(self.posterior, 1, validate_args=False)
        noise = standard_draws(N_DRAWS, self.posterior.loc.shape[-1]).to(self.posterior.loc)
        draws = self.posterior.loc + self.posterior.scale * noise
        if self.prior.is_joint:
            return (q.log_prob(draws) - self._marginal().log_prob(draws)).mean(dim=0)
        return torch.stack([self.prior.kl(q, draw, self.context) for draw in draws]).mean(dim=0)

    def surprise(self) -> Tensor:
        r""":math:`-\log p_m(z_m)` at the posterior mean, in nats, ``(n_cells,)``; what the cells' labels are is not used."""
        p = self._marginal() if self.prior.is_joint else self.prior(replace(self.context, labels=None))
        return -p.log_prob(self.posterior.loc)

    def _marginal(self) -> Distribution:
        return cast("CoupledPrior", self.prior).marginal(self.block)


def views(module: MultiVAEModule, tensors: Mapping[str, Tensor], outputs: Mapping[str, Any]) -> Iterator[View]:
    """The view of each modality that a minibatch has, given ``outputs`` of inference."""
    experts, annotations = outputs[EXPERTS], module.annotations(tensors)
    for name in module.names:
        rows = experts.rows(name)
        if not bool(rows.any()):
            continue
        holder, block = module.fusion.place(name)
        own = module.fusion.single(name, experts)
        q = Normal(own.loc[rows], own.scale[rows], validate_args=False)
        latent = Priced(holder, Independent(q, 1, validate_args=False), q.loc, rows)
        context = module.context(latent, experts, annotations)
        yield View(name, rows, q, module.priors[holder], context, block)


def standard_draws(n_draws: int, width: int) -> Tensor:
    """Draws of N(0, I) with mean 0 and variance 1 in each dimension, always the same, ``(n_draws, 1, width)``."""
    noise = torch.randn(n_draws, width, generator=torch.Generator().manual_seed(0))
    noise = noise - noise.mean(dim=0)
    return (noise / noise.square().mean(dim=0).sqrt())[:, None]
