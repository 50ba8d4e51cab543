"""Real values: C cells, G features, H hidden units."""

import torch
from torch import Tensor, nn
from torch.distributions import Chi2, Distribution
from torch.distributions import Normal as NormalDistribution
from torch.distributions import StudentT as StudentTDistribution
from torch.nn.functional import softplus

from ._base import Emission, FeatureStatistics, Likelihood, head

# In units of a feature's standard deviation. Without a floor the density of a feature that the decoder fits
# exactly grows without bound.
SCALE_FLOOR = 0.05


class Normal(Likelihood, name="normal"):
    r""":math:`x_g \sim N(m_g + s_g\,\mu_g(h),\, (s_g \sigma_g)^2)`.

    Features are standardised by their mean :math:`m_g` and standard deviation :math:`s_g` in the training data. For
    log-normalised values, RPPA, metabolites, embeddings of images.
    """

    values = "real"
    parameter_names = {"mean": "loc", "scale": "scale"}
    mean: Tensor
    sd: Tensor

    def __init__(self, n_features: int, n_hidden: int) -> None:
        super().__init__(n_features, n_hidden)
        self.loc = head(n_hidden, n_features)
        self.raw_scale = nn.Parameter(torch.zeros(n_features))
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("sd", torch.ones(n_features))

    def init_from(self, statistics: FeatureStatistics) -> None:
        self.mean.copy_(statistics.mean)
        self.sd.copy_(torch.where(statistics.sd > 0, statistics.sd, 1.0))

    def encoder_input(self, values: Tensor, size_factor: Tensor) -> Tensor:
        return (values - self.mean) / self.sd

    def scale(self) -> Tensor:
        """Residual standard deviation in units of the data, ``(n_features,)``."""
        return self.sd * (softplus(self.raw_scale) + SCALE_FLOOR)

    def forward(self, hidden: Tensor, size_factor: Tensor, batch: Tensor) -> Emission:
        return Emission(NormalDistribution(self.rates(hidden, batch), self.scale(), validate_args=False))

    def rates(self, hidden: Tensor, batch: Tensor) -> Tensor:
        return self.mean + self.sd * self.loc(hidden)


class StudentT(Normal, name="student_t"):
    """As ``normal`` with the heavier tails of a Student t of 5 degrees of freedom, for values with outliers."""

    degrees_of_freedom = 5.0
    parameter_names = {"mean": "loc", "scale": "scale", "degrees_of_freedom": "df"}

    def forward(self, hidden: Tensor, size_factor: Tensor, batch: Tensor) -> Emission:
        loc = self.rates(hidden, batch)
        return Emission(_StudentT(torch.full_like(loc, self.degrees_of_freedom), loc, self.scale()))


class _StudentT(StudentTDistribution):
    """torch's, made without the check of its degrees of freedom, for which every step would wait for the device."""

    def __init__(self, df: Tensor, loc: Tensor, scale: Tensor) -> None:
        self.df, self.loc, self.scale = torch.broadcast_tensors(df, loc, scale)
        self._chi2 = Chi2(self.df, validate_args=False)
        Distribution.__init__(self, self.df.shape, validate_args=False)
