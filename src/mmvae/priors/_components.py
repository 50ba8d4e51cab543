"""Gaussian components of which cells observe some dimensions: K components, L dimensions, n cells of one pattern."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch.distributions import MultivariateNormal

if TYPE_CHECKING:
    from torch import Tensor


class ConditionalMixture(NamedTuple):
    """Missing dimensions of cells given the observed ones: a mixture for each cell, with spreads common to all.

    ``log_weights``, up to a constant, ``(n, K)``; ``loc``, ``(n, K, L)``; and Cholesky factors of the covariances,
    ``(K, L, L)``. Among the observed dimensions ``loc`` is of no use.
    """

    log_weights: Tensor
    loc: Tensor
    factor: Tensor

    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean and variance of each cell's mixture, each ``(n, L)``."""
        weight = self.log_weights.softmax(dim=1)[..., None]
        mean = (weight * self.loc).sum(dim=1)
        within = self.factor.square().sum(dim=-1)
        return mean, (weight * (within + (self.loc - mean[:, None]).square())).sum(dim=1)

    def draw(self, noise: Tensor) -> Tensor:
        """A draw for each cell from standard normal ``noise``, ``(n, L)``; which component has no gradient."""
        # The largest of log-weights plus Gumbel noise, for which nothing waits.
        gumbel = -torch.empty_like(self.log_weights).exponential_().log()
        which = (self.log_weights + gumbel).argmax(dim=1)
        loc = self.loc.gather(1, which[:, None, None].expand(-1, 1, noise.shape[1])).squeeze(1)
        return loc + (self.factor.index_select(0, which) @ noise[..., None]).squeeze(-1)


class Components(NamedTuple):
    """Logarithms of weights up to a constant, ``(K,)``, means, ``(K, L)``, and covariances, ``(K, L, L)``.

    ``dims``, boolean, ``(L,)``, are the observed dimensions. The others are masked, not taken out, so that no shape
    depends on a pattern; and what is factorised is a component's covariance, once for all cells.
    """

    logits: Tensor
    loc: Tensor
    covariance: Tensor

    def log_joint(self, values: Tensor, dims: Tensor) -> Tensor:
        r""":math:`\log \pi_k + \log N(z_S; \mu_k^S, \Sigma_k^{SS})` in nats, ``(n, K)``, of ``values``, ``(n, L)``."""
        masked = 0.5 * math.log(2 * math.pi) * (~dims).sum().to(values)
        return self.logits.log_softmax(dim=0) + self._over(dims).log_prob((values * dims)[:, None]) + masked

    def given(self, values: Tensor, dims: Tensor) -> ConditionalMixture:
        """The other dimensions given those of ``values``, ``(n, L)``, that are observed."""
        observed = self._over(dims)
        cross = torch.where(~dims[:, None] & dims, self.covariance, 0.0)
        slope = torch.cholesky_solve(cross.mT, observed.scale_tril).mT
        loc = self.loc + torch.einsum("kab,nkb->nka", slope, values[:, None] - self.loc)
        left = self._masked(self.covariance - slope @ cross.mT, ~dims)
        log_weights = self.logits.log_softmax(dim=0) + observed.log_prob((values * dims)[:, None])
        return ConditionalMixture(log_weights, loc, cholesky(left))

    def _over(self, dims: Tensor) -> MultivariateNormal:
        """The components over the observed dimensions, beside a standard normal over the others."""
        factor = cholesky(self._masked(self.covariance, dims))
        return MultivariateNormal(self.loc * dims, scale_tril=factor, validate_args=False)

    @staticmethod
    def _masked(covariance: Tensor, dims: Tensor) -> Tensor:
        return torch.where(dims[:, None] & dims, covariance, torch.eye(len(dims), device=dims.device))


def cholesky(covariance: Tensor) -> Tensor:
    """Cholesky factors, NaN for what is no covariance: torch's own check would make every step wait for the device."""
    factor, fault = torch.linalg.cholesky_ex(covariance)
    return torch.where(fault[..., None, None] == 0, factor, torch.nan)
