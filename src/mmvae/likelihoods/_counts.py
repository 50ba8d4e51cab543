"""Counts that scale with depth: C cells, G features, H hidden units."""

import torch
from scvi.distributions import NegativeBinomial as NegativeBinomialDistribution
from scvi.distributions import Poisson as PoissonDistribution
from scvi.distributions import ZeroInflatedNegativeBinomial as ZeroInflatedDistribution
from torch import Tensor, nn

from ._base import Emission, FeatureStatistics, Likelihood, head, unchecked

LOG_THETA_RANGE = (-6.9, 6.9)  # inverse dispersions of 1e-3 to 1e3


class _Profile(Likelihood):
    """Counts whose mean is a size factor times a softmax profile."""

    values = "counts"
    rate_unit = "share of the cell's counts"
    relative = True

    def __init__(self, n_features: int, n_hidden: int) -> None:
        super().__init__(n_features, n_hidden)
        self.profile = head(n_hidden, n_features)

    def init_from(self, statistics: FeatureStatistics) -> None:
        super().init_from(statistics)
        with torch.no_grad():
            self.profile.bias.copy_(statistics.proportion.clamp_min(1e-8).log())

    def rates(self, hidden: Tensor, batch: Tensor) -> Tensor:
        return self.profile(hidden).softmax(dim=-1)


class Poisson(_Profile, name="poisson"):
    r""":math:`x_g \sim \mathrm{Poisson}(l \rho_g)`, :math:`\rho = \mathrm{softmax}(W h + b)`.

    The default of ATAC fragment counts, which are quantitative :cite:p:`Martens2024`.
    """

    def forward(self, hidden: Tensor, size_factor: Tensor, batch: Tensor) -> Emission:
        return Emission(PoissonDistribution(size_factor * self.rates(hidden, batch) + 1e-8, validate_args=False))


class NegativeBinomial(_Profile, name="nb"):
    r""":math:`x_g \sim \mathrm{NB}(l \rho_g, \theta_g)`, :math:`\rho = \mathrm{softmax}(W h + b)`.

    One inverse dispersion :math:`\theta_g` per feature. The default of RNA counts :cite:p:`Lopez2018`.
    """

    def __init__(self, n_features: int, n_hidden: int) -> None:
        super().__init__(n_features, n_hidden)
        self.log_theta = nn.Parameter(torch.full((n_features,), 1.0))

    def theta(self) -> Tensor:
        """Inverse dispersion of each feature, ``(n_features,)``."""
        return self.log_theta.clamp(*LOG_THETA_RANGE).exp()

    def forward(self, hidden: Tensor, size_factor: Tensor, batch: Tensor) -> Emission:
        mean = size_factor * self.rates(hidden, batch)
        return Emission(NegativeBinomialDistribution(mu=mean, theta=self.theta()))


class ZeroInflatedNegativeBinomial(NegativeBinomial, name="zinb"):
    """Negative binomial with an extra probability of zero per cell and feature :cite:p:`Lopez2018`.

    UMI counts do not need it; full-length protocols may.
    """

    def __init__(self, n_features: int, n_hidden: int) -> None:
        super().__init__(n_features, n_hidden)
        self.dropout = head(n_hidden, n_features)
        nn.init.constant_(self.dropout.bias, -2.0)

    def forward(self, hidden: Tensor, size_factor: Tensor, batch: Tensor) -> Emission:
        mean = size_factor * self.rates(hidden, batch)
        mixture = ZeroInflatedDistribution(mu=mean, theta=self.theta(), zi_logits=self.dropout(hidden))
        return Emission(unchecked(mixture))
