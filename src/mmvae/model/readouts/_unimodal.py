"""What one modality says of cells, against the prior of its latent: C cells, D_m dimensions, M modalities, S draws."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from mmvae.model._data import Data, Indices
from mmvae.model._reader import Reader
from mmvae.priors import CoupledPrior, Prior, PriorContext

N_DRAWS = 16


@dataclass(frozen=True)
class UnimodalPosterior:
    """The posterior of every cell of a minibatch from one modality alone, of batch shape ``(n_cells, D_m)``.

    ``prior`` is that of the latent that contains the modality, in the dimensions ``dims``; it may look at ``context``.
    """

    posterior: Normal
    prior: Prior
    context: PriorContext
    dims: slice

    def information(self) -> Tensor:
        r""":math:`KL(q_m \| p_m)` in nats, ``(n_cells,)``; else the mean over draws, exact where p is Gaussian."""
        q = Independent(self.posterior, 1, validate_args=False)
        noise = standard_draws(N_DRAWS, self.posterior.loc.shape[-1]).to(self.posterior.loc)
        draws = self.posterior.loc + self.posterior.scale * noise
        if self.prior.is_joint:
            return (q.log_prob(draws) - self._marginal().log_prob(draws)).mean(dim=0)
        return torch.stack([self.prior.kl(q, draw, self.context) for draw in draws]).mean(dim=0)

    def negative_log_prior(self) -> Tensor:
        r""":math:`-\log p_m(z_m)` at the posterior mean, labels marginalised, in nats, ``(n_cells,)``."""
        p = self._marginal() if self.prior.is_joint else self.prior(replace(self.context, labels=None))
        return -p.log_prob(self.posterior.loc)

    def _marginal(self) -> Distribution:
        return cast("CoupledPrior", self.prior).marginal(self.dims)


@torch.inference_mode()
def by_modality(
    reader: Reader,
    value: Callable[[UnimodalPosterior], Tensor],
    adata: Data | None,
    indices: Indices | None,
    batch_size: int | None,
) -> np.ndarray:
    """A value of each cell's unimodal posteriors, ``(n_cells, M)``; NaN where a cell lacks the modality."""
    module, blocks = reader.module, []
    for minibatch, posteriors in reader.posteriors(adata, indices, batch_size):
        block = torch.full(minibatch.present.shape, torch.nan, device=minibatch.present.device)
        # Graphs of neighbours are not to take what one modality says for the posterior of a latent of all.
        none = torch.zeros_like(minibatch.present[:, 0])
        for index, name in enumerate(reader.names):
            if len(minibatch.rows[name]):
                latent, dims = module.fusion.latent_of(name)
                context = replace(module.context(latent, minibatch, posteriors), mask=none)
                q = module.fusion.unimodal_posterior(name, posteriors)
                values = value(UnimodalPosterior(q, module.priors[latent], context, dims))
                block[:, index] = torch.where(posteriors.mask(name), values, torch.nan)
        blocks.append(block.cpu().double().numpy())
    return np.concatenate(blocks)


def standard_draws(n_draws: int, width: int) -> Tensor:
    """Draws of N(0, I) with mean 0 and variance 1 in each dimension, always the same, ``(n_draws, 1, width)``."""
    noise = torch.randn(n_draws, width, generator=torch.Generator().manual_seed(0))
    noise = noise - noise.mean(dim=0)
    return (noise / noise.square().mean(dim=0).sqrt())[:, None]
