"""Decode arbitrary latent positions, such as component means: C cells, K components, G features, U fused dimensions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.distributions import Normal

from mmvae.fusion import Experts

if TYPE_CHECKING:
    from torch import Tensor

    from mmvae.module import MultiVAEModule
    from mmvae.nn import Covariates

CERTAIN = 1e-4


def fused_from(module: MultiVAEModule, latent: str, values: Tensor, *, draw: bool) -> Tensor:
    """What the decoders read of cells of which one latent is known, ``(n_cells, n_output)``.

    Parameters
    ----------
    module
        The module.
    latent
        Name of the latent.
    values
        Where the cells are in it, ``(n_cells, width)``.
    draw
        Whether to draw the other latents, which the fusion fills in, or to take their mean.
    """
    fusion = module.fusion
    places = {name: fusion.place(name) for name in module.names}
    inside = [name for name, (holder, _) in places.items() if holder == latent]
    # As if the encoders of the latent's modalities had put the cells there and the others had seen nothing.
    loc = {
        name: values[:, places[name][1]] if name in inside else values.new_zeros(0, fusion.n_latent[name])
        for name in module.names
    }
    posteriors = {name: Normal(z, torch.full_like(z, CERTAIN), validate_args=False) for name, z in loc.items()}
    encoded = torch.tensor([name in inside for name in module.names], device=values.device).expand(len(values), -1)
    experts = Experts(posteriors, encoded)
    if len(inside) == len(module.names):
        return fusion.fuse(values, experts)
    posterior = fusion.posterior(experts)
    return fusion.fuse(fusion.sample(experts, posterior) if draw else posterior.loc, experts)


def component_rates(
    module: MultiVAEModule, latent: str, means: Tensor, covariates: Covariates
) -> dict[str, np.ndarray]:
    """Expected values at each component's mean, averaged over cells' covariates, ``(K, G)`` for each modality."""
    found: dict[str, list[np.ndarray]] = {name: [] for name in module.names}
    for fused in fused_from(module, latent, means, draw=False):
        z = fused.expand(len(covariates.batch), -1)
        for name in module.names:
            found[name].append(module.rates(name, z, covariates).mean(dim=0).cpu().double().numpy())
    return {name: np.stack(rates) for name, rates in found.items()}
