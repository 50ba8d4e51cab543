"""What the decoders make of a latent that no cell has: C cells, K components, G features, U fused dimensions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.distributions import Normal

from mmvae.fusion import Experts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from mmvae.module import MultiVAEModule
    from mmvae.nn import Covariates

CERTAIN = 1e-4
PSEUDO = 0.1
FEWEST_CELLS = 1.0


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


def top_features(
    rates: np.ndarray, cells: np.ndarray, names: Sequence[str] | np.ndarray, *, n_features: int, is_real: bool
) -> list[str]:
    r"""The features in which each component exceeds the average of the others the most, in words, one for each component.

    By :math:`\log_2 \frac{\rho_{kg} + \epsilon}{\bar\rho_{-k,g} + \epsilon}`, where the average is weighted by the
    components' cells and :math:`\epsilon` is a tenth of the modality's mean rate, so that features which are hardly
    seen anywhere do not lead; by the difference for values that may be negative. Nothing is said of a single
    component, or of one without cells.

    Parameters
    ----------
    rates
        Expected values, ``(K, G)``.
    cells
        Cells of each component, ``(K,)``.
    names
        Names of the features.
    n_features
        How many to name at most; those that do not exceed the average are not named.
    is_real
        Whether values may be negative.
    """
    words = []
    for k, own in enumerate(rates):
        weights = np.where(np.arange(len(rates)) == k, 0.0, cells)
        if cells[k] < FEWEST_CELLS or weights.sum() == 0:
            words.append("")
            continue
        others = weights @ rates / weights.sum()
        pseudo = PSEUDO * others.mean()
        gain = own - others if is_real else np.log2((own + pseudo) / (others + pseudo))
        order = np.argsort(-gain, kind="stable")[:n_features]
        words.append(", ".join(str(names[g]) for g in order if gain[g] > 0))
    return words
