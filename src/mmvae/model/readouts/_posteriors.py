"""Posteriors as readouts take them: what the decoders read, and what one modality says. C cells, M modalities."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Independent, Normal

from mmvae.fusion import Fusion, Posteriors
from mmvae.model._reader import Reader
from mmvae.priors import PriorContext

N_DRAWS, CERTAIN = 16, 1e-4


def fused_mean(fusion: Fusion, posteriors: Posteriors) -> Tensor:
    """What the decoders read at the posterior mean, ``(n_cells, n_output)``."""
    return fusion.fuse(fusion.posterior(posteriors).loc, posteriors)


@torch.inference_mode()
def fused_means(reader: Reader, *cells: Any) -> Tensor:
    """:func:`fused_mean` of cells, as in :meth:`Reader.posteriors`, on the CPU."""
    fusion = reader.module.fusion
    return torch.cat([fused_mean(fusion, posteriors).cpu() for _, posteriors in reader.posteriors(*cells)])


def fused_from(fusion: Fusion, latent: str, values: Tensor, *, draw: bool) -> Tensor:
    """What the decoders read, ``(n_cells, n_output)``, of cells at ``values``, ``(n_cells, width)``, in a latent.

    Latents that the fusion imputes are drawn, or at their mean.
    """
    # As if the encoders of the latent's modalities had put the cells there and the others had seen nothing.
    normals, encoded = {}, []
    for name, width in fusion.n_latent.items():
        own, dims = fusion.latent_of(name)
        loc = values[:, dims] if own == latent else values.new_zeros(len(values), width)
        normals[name] = Normal(loc, torch.full_like(loc, CERTAIN), validate_args=False)
        encoded.append(own == latent)
    posteriors = Posteriors.masked(normals, torch.tensor(encoded, device=values.device).expand(len(values), -1))
    if all(encoded):
        return fusion.fuse(values, posteriors)
    return fusion.fuse(fusion.draw(posteriors).latent, posteriors) if draw else fused_mean(fusion, posteriors)


@dataclass(frozen=True)
class UnimodalPosterior:
    """The posterior from one modality alone, ``(n_cells, D_m)``, and its latent's prior, of which it has ``dims``."""

    posterior: Normal
    prior: Any
    context: PriorContext
    dims: slice

    def information(self) -> Tensor:
        r""":math:`KL(q_m \| p_m)` in nats, ``(n_cells,)``; else the mean over draws, exact where p is Gaussian."""
        q = Independent(self.posterior, 1, validate_args=False)
        draws = draws_of(self.posterior)
        if self.prior.is_joint:
            return (q.log_prob(draws) - self.prior.marginal(self.dims).log_prob(draws)).mean(dim=0)
        return torch.stack([self.prior.kl(q, draw, self.context) for draw in draws]).mean(dim=0)

    def negative_log_prior(self) -> Tensor:
        r""":math:`-\log p_m(z_m)` at the posterior mean, labels marginalised, in nats, ``(n_cells,)``."""
        context = replace(self.context, labels=None)
        p = self.prior.marginal(self.dims) if self.prior.is_joint else self.prior(context)
        return -p.log_prob(self.posterior.loc)


@torch.inference_mode()
def by_modality(reader: Reader, value: Callable[[UnimodalPosterior], Tensor], *cells: Any) -> np.ndarray:
    """A value of the unimodal posteriors of cells, as in :meth:`Reader.posteriors`, ``(n_cells, M)``; NaN for none."""
    module, blocks = reader.module, []
    for minibatch, posteriors in reader.posteriors(*cells):
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


def draws_of(posterior: Normal) -> Tensor:
    """Draws of Gaussians, always the same ones, ``(n_draws, n_cells, width)``."""
    return posterior.loc + posterior.scale * standard_draws(N_DRAWS, posterior.loc.shape[-1]).to(posterior.loc)


def standard_draws(n_draws: int, width: int) -> Tensor:
    """Draws of N(0, I) with mean 0 and variance 1 in each dimension, always the same, ``(n_draws, 1, width)``."""
    noise = torch.randn(n_draws, width, generator=torch.Generator().manual_seed(0))
    noise = noise - noise.mean(dim=0)
    return (noise / noise.square().mean(dim=0).sqrt())[:, None]
