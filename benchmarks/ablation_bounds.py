"""Held-out bounds and how well a prior fits the latents. C cells, M modalities, S draws, K components."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from mmvae._keys import EXPERTS, LATENT, PRESENT, Z, layer_key
from mmvae.model._two_sample import two_sample_auc
from mmvae.module import covariates_of

from .ablation_arms import blocks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mudata import MuData
    from torch import Tensor

    from mmvae import MultiVAE
    from mmvae.fusion import Priced
    from mmvae.priors import CoupledPrior

N_DRAWS = 64
BATCH_SIZE = 512
FEWEST_CELLS = 50
TOTAL = "total"


@torch.inference_mode()
def bounds(model: MultiVAE, mdata: MuData, n_draws: int = N_DRAWS) -> dict[str, float]:
    """ELBO, importance-weighted bound, KL, in nats per cell, and the KL of each modality per cell that has it.

    All three are of the log ratios at ``n_draws`` draws of all latents, whatever closed forms there are, and at KL
    weight 1, whatever the model was trained with.
    """
    ratios, kls = [], []
    for tensors in minibatches(model, mdata):
        drawn = [_weighed(model, tensors, outputs) for outputs in redrawn(model, tensors, n_draws)]
        ratios.append(torch.stack([ratio for ratio, _ in drawn]))
        kls.append({name: torch.stack([kl[name] for _, kl in drawn]).mean(dim=0) for name in drawn[0][1]})
    together = torch.cat(ratios, dim=1)
    iwae = torch.logsumexp(together, dim=0) - math.log(len(together))
    found = {"elbo": float(together.mean()), "iwae": float(iwae.mean())}
    each = {name: float(torch.cat([kl[name] for kl in kls]).nanmean()) for name in kls[0]}
    return found | {"kl": each.pop(TOTAL)} | {f"kl_{name}": value for name, value in each.items()}


def minibatches(model: MultiVAE, mdata: MuData) -> Iterator[dict[str, Tensor]]:
    """Minibatches of cells, in order."""
    return model._make_data_loader(adata=model._validate_anndata(mdata), batch_size=BATCH_SIZE)


@torch.inference_mode()
def redrawn(model: MultiVAE, tensors: dict[str, Tensor], n_draws: int) -> Iterator[dict[str, Any]]:
    """Outputs of inference with ``n_draws`` draws of the latents, one after the other."""
    module = model.module
    outputs = module.inference(**module._get_inference_input(tensors))
    for _ in range(n_draws):
        latent = module.fusion.sample(outputs[EXPERTS], outputs["qz"])
        yield outputs | {LATENT: latent, Z: module.fusion.fuse(latent, outputs[EXPERTS])}


def log_likelihood(
    model: MultiVAE, name: str, tensors: dict[str, Tensor], z: Tensor, *, weigh: bool
) -> tuple[Tensor, Tensor]:
    """Log-likelihood of a modality's values given the fused latent, ``(n_present, G)``, and which cells have it.

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
    return value, rows


def _weighed(model: MultiVAE, tensors: dict[str, Tensor], outputs: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
    """Log p(x, z) - log q(z | x) of each cell, ``(C,)``, and the log q - log p of each latent, NaN where it has none.

    Under a coupled prior the sum is ``total`` and the single latents are held against the prior's marginals.
    """
    total = torch.zeros(len(tensors[PRESENT]))
    for name in model.modalities:
        value, rows = log_likelihood(model, name, tensors, outputs[Z], weigh=True)
        total[rows] += value.sum(dim=-1)
    kls = {TOTAL: torch.zeros_like(total)}
    for prior, latent, context in model.module.priced(outputs, model.module.annotations(tensors)):
        excess = prior.log_ratio(latent.posterior, latent.sample, context)
        if prior.is_joint:
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


def prior_fit(model: MultiVAE, mdata: MuData) -> dict[str, float]:
    """AUC of a classifier that tells draws of the priors from draws of held-out cells' posteriors; 0.5 is ideal.

    Of each modality, their mean ``c2st``, and of all modalities together over complete cells, ``c2st_joint``, where
    there are enough.
    """
    latents, priors = _draws(model, mdata)
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
    found = {}
    for name, prior in model.module.priors.items():
        weights = getattr(prior, "logits", torch.zeros(1)).detach().softmax(dim=0)
        found[f"components_{name}"] = float(torch.special.entr(weights).sum().exp())
    return found | {"components": float(np.mean(list(found.values())))}


@torch.inference_mode()
def _draws(model: MultiVAE, mdata: MuData) -> tuple[np.ndarray, np.ndarray]:
    """Draws of posteriors, NaN where a cell lacks the modality, and of the priors, side by side, ``(C, sum of D_m)``."""
    latents, priors = [], []
    for tensors in minibatches(model, mdata):
        (outputs,) = redrawn(model, tensors, 1)
        columns: dict[str, tuple[Tensor, Tensor]] = {}
        for prior, latent, context in model.module.priced(outputs, model.module.annotations(tensors)):
            p = prior(context)
            drawn = p.sample() if p.batch_shape else p.sample((len(latent.sample),))
            known = torch.ones_like(latent.sample, dtype=torch.bool) if latent.known is None else latent.known
            seen = torch.where(known, latent.sample, torch.nan)
            empty = drawn.new_full((len(latent.rows), drawn.shape[1]), torch.nan)
            rows = latent.rows[:, None].expand_as(empty)
            columns[latent.name] = empty.masked_scatter(rows, seen), empty.masked_scatter(rows, drawn)
        latents.append(torch.cat([own for own, _ in columns.values()], dim=1))
        priors.append(torch.cat([drawn for _, drawn in columns.values()], dim=1))
    return torch.cat(latents).numpy(), torch.cat(priors).numpy()
