"""Mixture of Gaussians: D latent dimensions, K components."""

from typing import Any

import numpy as np
import torch
from sklearn.mixture import GaussianMixture
from torch import Tensor, nn
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from mmvae._checks import COUNT, check_numbers

from ._base import PosteriorSample, PriorContext, WarmStarted
from ._scale import COMPONENT_LOG_SCALE_RANGE, mixture_anchor


def fit_mixture(prior: Any, latent: Tensor, *, diagonal: bool, ridge: float) -> Tensor:
    """Set ``loc`` and ``logits`` by a fit to ``latent``, ``(n_cells, D)``; covariances of the components.

    They are as many as there are cells that differ, at most K. Others keep their means and next to no weight.
    """
    points, kind = latent.cpu().numpy(), "diag" if diagonal else "full"
    k = min(len(prior.loc), len(np.unique(points, axis=0)))
    fit = GaussianMixture(k, covariance_type=kind, reg_covar=ridge, random_state=0).fit(points)
    means, weights, covariances = (
        torch.as_tensor(v).to(prior.loc) for v in (fit.means_, fit.weights_, fit.covariances_)
    )
    prior.loc[:k] = means
    prior.logits.fill_(-10.0)
    prior.logits[:k] = weights.clamp_min(1e-4).log()
    return covariances


class DiagonalMixture(WarmStarted):
    r"""Base of mixtures :math:`\sum_k \pi_k N(z; \mu_k, \operatorname{diag} \sigma_k^2)`, of ``size`` components K."""

    def __init__(self, n_latent: int, size: int) -> None:
        super().__init__(n_latent)
        check_numbers({"n_components": COUNT}, n_components=size)
        self.loc = nn.Parameter(torch.zeros(size, n_latent))
        self.log_scale = nn.Parameter(torch.zeros(size, n_latent))
        self.logits = nn.Parameter(torch.zeros(size))

    def learned(self, context: PriorContext) -> MixtureSameFamily:
        mixing = Categorical(logits=self.logits, validate_args=False)
        return MixtureSameFamily(mixing, self.gaussians(), validate_args=False)

    def gaussians(self) -> Independent[Normal]:
        """The components, batch shape ``(K,)``, event shape ``(n_latent,)``."""
        return Independent(Normal(self.loc, self.scale, validate_args=False), 1, validate_args=False)

    @property
    def scale(self) -> Tensor:
        """Standard deviations, ``(K, D)``."""
        return self.log_scale.clamp(*COMPONENT_LOG_SCALE_RANGE).exp()

    def scale_cost(self) -> Tensor:
        """Hold the mixture's overall mean near 0 and variance near 1."""
        return mixture_anchor(self.logits, self.loc, self.scale.square())


class MixtureOfGaussians(DiagonalMixture, name="mog"):
    r""":math:`p(z) = \sum_k \pi_k N(z; \mu_k, \operatorname{diag} \sigma_k^2)`.

    N(0, I) during a short warm start; then the components are fitted to the latents of training cells by
    expectation-maximisation and learned on from there. The fit is the part that matters: from random means the
    components stay merged.

    Parameters
    ----------
    n_latent
        Latent dimensions, D.
    n_components
        Number of components, K. Components that are not needed lose their weight, which does no harm.
    """

    def __init__(self, n_latent: int, n_components: int = 16) -> None:
        super().__init__(n_latent, n_components)
        self.n_components = n_components
        nn.init.normal_(self.loc)
        nn.init.constant_(self.log_scale, -0.25)

    @torch.no_grad()
    def init_from(self, sample: PosteriorSample) -> None:
        within = fit_mixture(self, sample.loc, diagonal=True, ridge=1e-3)
        # A component covers its cells' posteriors, not only their means.
        within = within + sample.scale.square().mean(dim=0).to(within)
        self.log_scale[: len(within)] = 0.5 * within.log()
        self.mark_initialised()
