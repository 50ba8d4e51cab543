"""Importance-weighted bounds on the marginal likelihood: C cells, S draws of the latent."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from mmvae._keys import EXPERTS, LATENT, QZ, Z

if TYPE_CHECKING:
    from torch import Tensor

    from ._multivae import MultiVAEModule


def log_weights(module: MultiVAEModule, tensors: dict[str, Tensor], n_samples: int) -> Tensor:
    r"""Log importance weights of draws from the posterior, in nats, ``(n_samples, n_cells)``.

    .. math:: \log w = \sum_m \log p(x_m \mid u, s) - \sum_l \log \frac{q(z_l \mid x)}{p(z_l)}

    over the modalities m that a cell has and the latents l that priors charge for, all at one draw and with weight 1
    whatever the loss gives them. Their mean over draws is the ELBO. Where a likelihood has latent variables of its own,
    its divergence takes their place. A latent that the fusion fills in, given the draws of others, costs nothing: for
    cells that lack a modality the bound is on a model whose missing latents follow the fill, which is the prior's own
    only where it couples them.

    Parameters
    ----------
    module
        The module, in evaluation mode.
    tensors
        A minibatch.
    n_samples
        Number of draws, S.
    """
    outputs = dict(module.inference(**module._get_inference_input(tensors)))
    annotations = module.annotations(tensors)
    draws = []
    for _ in range(n_samples):
        outputs[LATENT] = module.fusion.sample(outputs[EXPERTS], outputs[QZ])
        outputs[Z] = module.fusion.fuse(outputs[LATENT], outputs[EXPERTS])
        emissions = module.generative(**module._get_generative_input(tensors, outputs))
        costs = [*module.reconstruction(tensors, emissions).values(), *module.log_ratios(outputs, annotations).values()]
        costs += module.emission_kl(tensors, emissions).values()
        draws.append(-torch.stack(costs).sum(dim=0))
    return torch.stack(draws)


def importance_bound(log_weights: Tensor) -> Tensor:
    r""":math:`\log \frac{1}{S} \sum_s w_s`, in nats, ``(n_cells,)`` :cite:p:`Burda2016`.

    A bound on the log marginal likelihood that lies above the ELBO, and the closer to it the more draws there are.

    Parameters
    ----------
    log_weights
        Log-weights of the draws, ``(n_samples, n_cells)``.
    """
    return log_weights.logsumexp(dim=0) - math.log(len(log_weights))
