"""Held-out bounds and how well a prior fits the latents. C cells, M modalities, S draws."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch

from ._model import TOTAL, blocks, component_weights, latent_draws, log_ratios, minibatches, two_sample_auc

if TYPE_CHECKING:
    from mudata import MuData

    from mmvae import MultiVAE

N_DRAWS = 64
FEWEST_CELLS = 50


def bounds(model: MultiVAE, mdata: MuData, n_draws: int = N_DRAWS) -> dict[str, float]:
    """ELBO, importance-weighted bound, KL, in nats per cell, and the KL of each modality per cell that has it.

    All three are of the log ratios at ``n_draws`` draws of all latents, whatever closed forms there are, and at KL
    weight 1, whatever the model was trained with.
    """
    parts = [log_ratios(model, minibatch, n_draws) for minibatch in minibatches(model, mdata)]
    together = torch.cat([ratios for ratios, _ in parts], dim=1)
    iwae = torch.logsumexp(together, dim=0) - math.log(len(together))
    found = {"elbo": float(together.mean()), "iwae": float(iwae.mean())}
    each = {name: float(torch.cat([kls[name] for _, kls in parts]).nanmean()) for name in parts[0][1]}
    return found | {"kl": each.pop(TOTAL)} | {f"kl_{name}": value for name, value in each.items()}


def prior_fit(model: MultiVAE, mdata: MuData) -> dict[str, float]:
    """AUC of a classifier that tells draws of the priors from draws of held-out cells' posteriors; 0.5 is ideal.

    Of each modality, their mean ``c2st``, and of all modalities together over complete cells, ``c2st_joint``, where
    there are enough.
    """
    parts = [latent_draws(model, minibatch) for minibatch in minibatches(model, mdata)]
    latents, priors = (torch.cat(own).numpy() for own in zip(*parts, strict=True))
    present = ~np.isnan(latents)
    found = {}
    for name, block in zip(model.modalities, blocks(model), strict=True):
        has = present[:, block].all(axis=1)
        found[f"c2st_{name}"] = two_sample_auc(latents[has, block], priors[has, block])
    found["c2st"] = float(np.mean(list(found.values())))
    if (complete := present.all(axis=1)).sum() >= FEWEST_CELLS:
        found["c2st_joint"] = two_sample_auc(latents[complete], priors[complete])
    return found


def components(model: MultiVAE) -> dict[str, float]:
    """Exponential of the entropy of the components' weights, by prior, and the mean."""
    weights = component_weights(model)
    found = {f"components_{name}": float(torch.special.entr(own).sum().exp()) for name, own in weights.items()}
    return found | {"components": float(np.mean(list(found.values())))}
