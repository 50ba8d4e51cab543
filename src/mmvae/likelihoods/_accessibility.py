"""Open or closed: C cells, G features, H hidden units."""

import torch
from torch import Tensor
from torch.distributions import Bernoulli as BernoulliDistribution

from ._base import Emission, FeatureStatistics, Likelihood, head


class Bernoulli(Likelihood, name="bernoulli"):
    r""":math:`x_g \sim \mathrm{Bernoulli}(\sigma(w_g h + b_g + \log(l / \tilde l)))`.

    For values that are already 0 or 1. The offset, the log ratio of a cell's number of open features to the median
    :math:`\tilde l`, keeps depth out of the latent.
    """

    values = "binary"
    rate_unit = "probability at median depth"
    zeros_stay = True

    def __init__(self, n_features: int, n_hidden: int) -> None:
        super().__init__(n_features, n_hidden)
        self.logits = head(n_hidden, n_features)

    def init_from(self, statistics: FeatureStatistics) -> None:
        super().init_from(statistics)
        with torch.no_grad():
            self.logits.bias.copy_(statistics.mean.clamp(1e-4, 1 - 1e-4).logit())

    def encoder_input(self, values: Tensor, size_factor: Tensor) -> Tensor:
        return values * (self.size_factor / size_factor)

    def forward(self, hidden: Tensor, size_factor: Tensor, batch: Tensor) -> Emission:
        offset = (size_factor / self.size_factor).log()
        return Emission(BernoulliDistribution(logits=self.logits(hidden) + offset, validate_args=False))

    def rates(self, hidden: Tensor, batch: Tensor) -> Tensor:
        return self.logits(hidden).sigmoid()
