"""Gaussian components of which cells observe some dimensions: C cells, K components, L dimensions, P patterns."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from mmvae.fusion import ObservedDims
from mmvae.nn import draw_category


class ConditionalMixture(NamedTuple):
    """Missing dimensions of cells given the observed ones: a mixture for each cell, with covariances common to all.

    ``log_weights``, up to a constant, ``(C, K)``; ``loc``, ``(C, K, L)``; Cholesky factors of the covariances of each
    pattern, ``(P, K, L, L)``; and the pattern of each cell, ``(C,)``. In the observed dimensions it means nothing.
    """

    log_weights: Tensor
    loc: Tensor
    factor: Tensor
    pattern: Tensor

    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean and variance of each cell's mixture, each ``(C, L)``."""
        weight = self.log_weights.softmax(dim=1)[..., None]
        mean = (weight * self.loc).sum(dim=1)
        within = self.factor.square().sum(dim=-1)[self.pattern]
        return mean, (weight * (within + (self.loc - mean[:, None]).square())).sum(dim=1)

    def draw(self) -> Tensor:
        """A draw for each cell, ``(C, L)``. The component that is drawn has no gradient."""
        component = draw_category(self.log_weights)
        loc = self.loc.gather(1, component[:, None, None].expand(-1, 1, self.loc.shape[-1])).squeeze(1)
        factor = self.factor.flatten(0, 1).index_select(0, self.pattern * self.factor.shape[1] + component)
        return loc + (factor @ torch.randn_like(loc)[..., None]).squeeze(-1)


class PartlyObserved:
    """Components over the dimensions that cells observe, for all patterns at once.

    What is factorised are the components' covariances over a pattern, once for all cells. Other dimensions are masked,
    not taken out, so that the work is a fixed number of operations and no shape depends on a pattern.

    Parameters
    ----------
    logits, loc, covariance
        Logarithms of weights up to a constant, ``(K,)``, means, ``(K, L)``, and covariances, ``(K, L, L)``.
    observed
        Which dimensions the cells observe.
    """

    def __init__(self, logits: Tensor, loc: Tensor, covariance: Tensor, observed: ObservedDims) -> None:
        self.log_weights, self.loc, self.covariance = logits.log_softmax(dim=0), loc, covariance
        self.dims, self.pattern = observed.patterns, observed.pattern
        self.factor = cholesky(self._masked(covariance, self.dims))

    def log_joint(self, values: Tensor) -> Tensor:
        r""":math:`\log \pi_k + \log N(z_S; \mu_k^S, \Sigma_k^{SS})` in nats, ``(C, K)``, of ``values``, ``(C, L)``."""
        offset = self._offset(values) * self.dims[:, None, :, None]
        distance = torch.linalg.solve_triangular(self.factor, offset, upper=False).square().sum(dim=2)
        log_volume = self.factor.diagonal(dim1=-2, dim2=-1).log().sum(dim=-1)
        constant = 0.5 * math.log(2 * math.pi) * self.dims.sum(dim=-1, keepdim=True).to(values)
        return self._of_cells((self.log_weights - log_volume - constant)[..., None] - 0.5 * distance).mT

    def missing(self, values: Tensor) -> ConditionalMixture:
        """The missing dimensions given those of ``values``, ``(C, L)``, that are observed."""
        across = ~self.dims[:, :, None] & self.dims[:, None]
        cross = torch.where(across[:, None], self.covariance, 0.0)
        slope = torch.cholesky_solve(cross.mT, self.factor).mT
        left = self._masked(self.covariance - slope @ cross.mT, ~self.dims)
        loc = self.loc + self._of_cells(slope @ self._offset(values)).permute(2, 0, 1)
        return ConditionalMixture(self.log_joint(values), loc, cholesky(left), self.pattern)

    def _offset(self, values: Tensor) -> Tensor:
        return values.mT - self.loc[..., None]

    def _of_cells(self, of_patterns: Tensor) -> Tensor:
        """Of values for each pattern and cell, ``(P, ..., C)``, those for the cell's own pattern, ``(..., C)``."""
        return of_patterns.gather(0, self.pattern.expand(1, *of_patterns.shape[1:])).squeeze(0)

    @staticmethod
    def _masked(covariance: Tensor, dims: Tensor) -> Tensor:
        """Covariances over each pattern's dimensions, beside I in the others, ``(P, K, L, L)``."""
        both = dims[:, :, None] & dims[:, None]
        return torch.where(both[:, None], covariance, torch.eye(dims.shape[1], device=dims.device))


def cholesky(covariance: Tensor) -> Tensor:
    """Cholesky factors, NaN for what is no covariance: torch's own check would make every step wait for the device."""
    factor, fault = torch.linalg.cholesky_ex(covariance)
    return torch.where(fault[..., None, None] == 0, factor, torch.nan)
