"""Held-out bounds and how well a prior fits the latents. C cells, M modalities, S draws, K components."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from mmvae._keys import EXPERTS, LATENT, PRESENT, Z, layer_key
from mmvae.module import covariates_of
from mmvae.priors import PriorContext

from .ablation_arms import COUPLED, blocks

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
        if prior.couples:
            excess = prior.kl(latent.posterior, latent.sample, context)
            kls |= _by_modality(model, prior, latent)
        else:
            excess = latent.posterior.log_prob(latent.sample) - prior(context).log_prob(latent.sample)
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
    latents, present = _latents(model, mdata)
    priors = _prior_draws(model, len(present))
    found, complete = {}, present.all(axis=1)
    for index, name in enumerate(model.modalities):
        has = present[:, index]
        found[f"c2st_{name}"] = c2st(latents[name][has], priors[name][has])
    found["c2st"] = float(np.mean(list(found.values())))
    if complete.sum() >= FEWEST_CELLS:
        together = np.concatenate([latents[name][complete] for name in model.modalities], axis=1)
        found["c2st_joint"] = c2st(together, priors["joint"][complete])
    return found


def c2st(first: np.ndarray, second: np.ndarray) -> float:
    """Cross-validated AUC of boosted trees that tell two samples apart."""
    values = np.concatenate([first, second])
    which = np.repeat([0, 1], [len(first), len(second)])
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    trees = HistGradientBoostingClassifier(random_state=0, max_iter=50)
    return float(roc_auc_score(which, cross_val_predict(trees, values, which, cv=folds, method="predict_proba")[:, 1]))


def components(model: MultiVAE) -> dict[str, float]:
    """Exponential of the entropy of the components' weights, by prior, and the mean."""
    found = {}
    for name, prior in model.module.priors.items():
        weights = getattr(prior, "logits", torch.zeros(1)).detach().softmax(dim=0)
        found[f"components_{name}"] = float(torch.special.entr(weights).sum().exp())
    return found | {"components": float(np.mean(list(found.values())))}


def _latents(model: MultiVAE, mdata: MuData) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """A draw of each modality's posterior, ``(C, D_m)``, and which cells have which modality, ``(C, M)``."""
    found: dict[str, list[Tensor]] = {name: [] for name in model.modalities}
    present = []
    for tensors in minibatches(model, mdata):
        (outputs,) = redrawn(model, tensors, 1)
        for name in found:
            found[name].append(model.module.fusion.single(name, outputs[EXPERTS]).sample())
        present.append(tensors[PRESENT])
    return {name: torch.cat(parts).numpy() for name, parts in found.items()}, torch.cat(present).numpy()


@torch.inference_mode()
def _prior_draws(model: MultiVAE, n_cells: int) -> dict[str, np.ndarray]:
    """Draws of each modality's prior and of all together, ``joint``."""
    priors = model.module.priors
    if COUPLED in priors:
        found = {
            name: priors[COUPLED].marginal(block).sample((n_cells,))
            for name, block in zip(model.modalities, blocks(model), strict=True)
        }
        found["joint"] = priors[COUPLED](PriorContext()).sample((n_cells,))
    else:
        found = {
            name: prior(PriorContext(encoder=model.module.encoders[name])).sample((n_cells,))
            for name, prior in priors.items()
        }
        found["joint"] = torch.cat([found[name] for name in model.modalities], dim=1)
    return {name: value.numpy() for name, value in found.items()}
