"""Decode arbitrary latent positions, such as the means of components: C cells, K components, G features."""

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Normal

from mmvae.fusion import Fusion, Posteriors
from mmvae.module import MultiVAEModule
from mmvae.nn import Covariates

CERTAIN = 1e-4


def fused_mean(fusion: Fusion, posteriors: Posteriors) -> Tensor:
    """What the decoders read at the posterior mean, ``(n_cells, n_output)``."""
    return fusion.fuse(fusion.posterior(posteriors).loc, posteriors)


def fused_from(fusion: Fusion, latent: str, values: Tensor, *, draw: bool) -> Tensor:
    """What the decoders read of cells of which one latent is known, ``(n_cells, n_output)``.

    Parameters
    ----------
    fusion
        The fusion.
    latent
        Name of the latent.
    values
        Where the cells are in it, ``(n_cells, width)``.
    draw
        Whether to draw the other latents, which the fusion imputes, or to take their mean.
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


def component_rates(
    module: MultiVAEModule, latent: str, means: Tensor, covariates: Covariates
) -> dict[str, np.ndarray]:
    """Expected values at each component's mean, averaged over cells' covariates, ``(K, G)`` for each modality."""
    found: dict[str, list[np.ndarray]] = {name: [] for name in module.names}
    for fused in fused_from(module.fusion, latent, means, draw=False):
        z = fused.expand(len(covariates.batch), -1)
        for name in module.names:
            found[name].append(module.rates(name, z, covariates).mean(dim=0).cpu().double().numpy())
    return {name: np.stack(rates) for name, rates in found.items()}
