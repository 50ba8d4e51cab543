"""What a step costs, in nats per cell. Pure functions of a step. C cells."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from mmvae.fusion import PriorTerm
from mmvae.likelihoods import Emission
from mmvae.priors import Prior

from ._minibatch import Inference, Step


@dataclass(frozen=True)
class Terms:
    """Parts of the loss, each in nats and of shape ``(n_cells,)``.

    ``reconstruction``, by modality, is the negative log-likelihood of what was measured, 0 where nothing was; ``kl``,
    by latent, the divergence from the prior, and by ``<modality>_likelihood`` that of latent variables that a
    likelihood has of its own; ``auxiliary`` is what is trained beside the ELBO: imputation, adversary, priors.
    """

    reconstruction: Mapping[str, Tensor]
    kl: Mapping[str, Tensor]
    auxiliary: Mapping[str, Tensor]

    def misfit(self, weights: Mapping[str, float]) -> Tensor:
        """Reconstruction of all modalities, each with its weight, ``(n_cells,)``."""
        parts = [value if weights[name] == 1 else weights[name] * value for name, value in self.reconstruction.items()]
        return sum(parts[1:], parts[0])

    def divergence(self) -> Tensor:
        """KL of all latents, ``(n_cells,)``."""
        first, *others = self.kl.values()
        return sum(others, first)


def reconstruction(step: Step) -> dict[str, Tensor]:
    """Negative log-likelihood of each modality, in nats, 0 where a cell lacks it, ``(n_cells,)``."""
    minibatch, emissions = step.inference.minibatch, step.emissions
    return {name: minibatch.place(name, -e.log_likelihood(minibatch.values[name])) for name, e in emissions.items()}


def emission_kl(step: Step) -> dict[str, Tensor]:
    """Divergence of the latent variables that a likelihood has of its own, in nats, ``(n_cells,)``."""
    return _placed(step, lambda emission: emission.kl)


def prior_kl(inference: Inference, priors: Mapping[str, Prior]) -> dict[str, Tensor]:
    r""":math:`KL(q \| p)` of each latent, in nats, 0 in cells without it, ``(n_cells,)``."""
    return {
        term.name: _where(term, priors[term.name].kl(term.posterior, term.sample, inference.contexts[term.name]))
        for term in inference.prior_terms
    }


def log_ratios(inference: Inference, priors: Mapping[str, Prior]) -> dict[str, Tensor]:
    r""":math:`\log q(z) - \log p(z)` of each latent at its draw, in nats, 0 in cells without it, ``(n_cells,)``."""
    return {
        term.name: _where(term, priors[term.name].log_ratio(term.posterior, term.sample, inference.contexts[term.name]))
        for term in inference.prior_terms
    }


def prior_losses(inference: Inference, priors: Mapping[str, Prior]) -> dict[str, Tensor]:
    """What priors train beside the KL, where they train anything, in nats, ``(n_cells,)``."""
    costs = {}
    for term in inference.prior_terms:
        own = priors[term.name].loss(term.sample.detach(), inference.contexts[term.name])
        if own is not None:
            costs[f"prior of {term.name}"] = _where(term, own)
    return costs


def log_weight(step: Step, priors: Mapping[str, Prior]) -> Tensor:
    r"""Log importance weight of the step's draw, in nats, ``(n_cells,)``.

    .. math:: \log w = \sum_m \log p(x_m \mid u, s) - \sum_l \log \frac{q(z_l \mid x)}{p(z_l)}

    over the modalities m that a cell has and the latents l that have a prior or belong to a likelihood, all at one draw
    and with weight 1 whatever the loss gives them. Its mean over draws is the ELBO. A latent that the fusion imputes,
    given the draws of others, costs nothing: for cells that lack a modality the bound is on a model whose missing
    latents follow the imputation, which is the prior's own only where it couples them.
    """
    of_likelihoods = _placed(step, lambda emission: emission.log_ratio)
    costs = [*reconstruction(step).values(), *log_ratios(step.inference, priors).values(), *of_likelihoods.values()]
    return -torch.stack(costs).sum(dim=0)


def importance_bound(log_weights: Tensor) -> Tensor:
    r""":math:`\log \frac{1}{S} \sum_s w_s`, in nats, ``(n_cells,)`` :cite:p:`Burda2016`.

    A bound on the log marginal likelihood that lies above the ELBO, and the closer to it the more draws,
    ``(n_samples, n_cells)``, there are.
    """
    return log_weights.logsumexp(dim=0) - math.log(len(log_weights))


def _where(term: PriorTerm, cost: Tensor) -> Tensor:
    return torch.where(term.mask, cost, 0.0)


def _placed(step: Step, read: Callable[[Emission], Tensor | None]) -> dict[str, Tensor]:
    """What ``read`` finds in the emissions, by ``<modality>_likelihood``, 0 where a cell lacks the modality."""
    found = {name: read(emission) for name, emission in step.emissions.items()}
    place = step.inference.minibatch.place
    return {f"{name}_likelihood": place(name, value) for name, value in found.items() if value is not None}
