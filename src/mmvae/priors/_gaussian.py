"""Gaussian priors: D latent dimensions."""

import torch
from torch import nn
from torch.distributions import Distribution, Independent, Normal

from ._base import Prior, PriorContext
from ._scale import LOG_SCALE_RANGE


class StandardNormal(Prior, name="normal"):
    """:math:`N(0, I)`, with nothing to learn: the control."""

    def forward(self, context: PriorContext) -> Distribution:
        return self.standard_normal()


class Gaussian(Prior, name="gaussian"):
    r""":math:`N(a, \operatorname{diag} b^2)` with learned a and b: the negative control.

    The encoder's last and the decoder's first layer absorb any affine map of the latent, so as a family of models
    this equals ``normal``. A benchmark in which the two differ has a fault in its harness.
    """

    def __init__(self, n_latent: int) -> None:
        super().__init__(n_latent)
        self.loc = nn.Parameter(torch.zeros(n_latent))
        self.log_scale = nn.Parameter(torch.zeros(n_latent))

    def forward(self, context: PriorContext) -> Distribution:
        return Independent(Normal(self.loc, self.log_scale.clamp(*LOG_SCALE_RANGE).exp(), validate_args=False), 1)
