"""Counts, and open or closed, which scale with depth: C cells, G features, H hidden units."""

from functools import cached_property

import torch
from scvi.distributions import NegativeBinomial as NegativeBinomialDistribution
from scvi.distributions import Poisson as PoissonDistribution
from scvi.distributions import ZeroInflatedNegativeBinomial as ZeroInflatedDistribution
from torch import Tensor, nn
from torch.distributions import Bernoulli as BernoulliDistribution
from torch.distributions import Distribution, Gamma

from mmvae._checks import COUNT, check_numbers
from mmvae.nn import SparseRows

from ._base import Emission, FeatureStatistics, Likelihood, head, unchecked
from ._profile import negative_binomial_log_likelihood, poisson_log_likelihood, sampled_poisson_log_likelihood

LOG_THETA_RANGE = (-6.9, 6.9)  # inverse dispersions of 1e-3 to 1e3


class _Profile(Likelihood):
    """Counts whose mean is a size factor times a softmax profile."""

    values = "counts"
    rate_unit = "share of the cell's counts"
    relative = True
    zeros_stay = True

    def __init__(self, n_features: int, n_hidden: int) -> None:
        super().__init__(n_features, n_hidden)
        self.profile = head(n_hidden, n_features)

    def init_from(self, statistics: FeatureStatistics) -> None:
        super().init_from(statistics)
        with torch.no_grad():
            self.profile.bias.copy_(statistics.proportion.clamp_min(1e-8).log())

    def rates(self, hidden: Tensor, batch: Tensor) -> Tensor:
        return self.profile(hidden).softmax(dim=-1)

    def forward(self, hidden: Tensor, size_factor: Tensor, batch: Tensor) -> Emission:
        return _ProfileEmission(self, hidden, size_factor, batch)

    def _distribution(self, mean: Tensor) -> Distribution:
        """Of counts with these means, ``(n_cells, n_features)``."""
        raise NotImplementedError

    def _of_stored(self, hidden: Tensor, total: Tensor, counts: SparseRows) -> Tensor:
        """Log-likelihood of sparse counts by the profile, in nats, ``(n_cells,)``."""
        raise NotImplementedError


class _ProfileEmission(Emission):
    """Counts whose distribution is made where it is asked for, as the profile is enough for sparse ones."""

    def __init__(self, likelihood: _Profile, hidden: Tensor, total: Tensor, batch: Tensor) -> None:
        self.likelihood, self.hidden, self.total, self.batch = likelihood, hidden, total, batch
        self.kl = self.log_ratio = None

    @cached_property
    def distribution(self) -> Distribution:  # type: ignore[override]
        return self.likelihood._distribution(self.total * self.likelihood.rates(self.hidden, self.batch))

    def of_stored(self, values: SparseRows) -> Tensor:
        if type(self.likelihood).rates is not _Profile.rates:  # one's own, which need not be the profile
            return super().of_stored(values)
        return self.likelihood._of_stored(self.hidden, self.total, values)


class Poisson(_Profile, name="poisson"):
    r""":math:`x_g \sim \mathrm{Poisson}(l \rho_g)`, :math:`\rho = \mathrm{softmax}(W h + b)`.

    The default of ATAC fragment counts, which are quantitative :cite:p:`Martens2024`.

    Parameters
    ----------
    n_features, n_hidden
        As for :class:`Likelihood`.
    n_sampled
        Number of features drawn for each minibatch in training, from which the softmax's normaliser is estimated; all
        are used if it is ``None``, outside training, and for dense data that are mostly not 0. Never chosen by itself:
        small differences in many peaks were lost on simulated cells.
    """

    parameter_names = {"mean": "rate"}
    proposal: Tensor

    def __init__(self, n_features: int, n_hidden: int, n_sampled: int | None = None) -> None:
        super().__init__(n_features, n_hidden)
        check_numbers({"n_sampled": COUNT}, n_sampled=n_sampled)
        self.n_sampled = n_sampled
        self.register_buffer("proposal", torch.full((n_features,), 1 / n_features))

    def init_from(self, statistics: FeatureStatistics) -> None:
        super().init_from(statistics)
        # Some of it is even, so that no feature that a few cells have weighs too much where it is drawn.
        self.proposal.copy_(0.9 * statistics.proportion + 0.1 / self.n_features)

    def _distribution(self, mean: Tensor) -> Distribution:
        return PoissonDistribution(mean + 1e-8, validate_args=False)

    def _of_stored(self, hidden: Tensor, total: Tensor, counts: SparseRows) -> Tensor:
        if self.n_sampled is None or not self.training:
            return poisson_log_likelihood(self.profile(hidden), total, counts)
        weight, bias = self.profile.weight, self.profile.bias
        return sampled_poisson_log_likelihood(hidden, weight, bias, self.proposal, self.n_sampled, total, counts)


class NegativeBinomial(_Profile, name="nb"):
    r""":math:`x_g \sim \mathrm{NB}(l \rho_g, \theta_g)`, :math:`\rho = \mathrm{softmax}(W h + b)`.

    One inverse dispersion :math:`\theta_g` per feature. The default of RNA counts :cite:p:`Lopez2018`.
    """

    parameter_names = {"mean": "mu", "dispersions": "theta"}

    def __init__(self, n_features: int, n_hidden: int) -> None:
        super().__init__(n_features, n_hidden)
        self.log_theta = nn.Parameter(torch.full((n_features,), 1.0))

    def theta(self) -> Tensor:
        """Inverse dispersion of each feature, ``(n_features,)``."""
        return self.log_theta.clamp(*LOG_THETA_RANGE).exp()

    def denoised(self, hidden: Tensor, library_size: Tensor | float, batch: Tensor) -> Tensor:
        return overdispersed(self.scaled(hidden, library_size, batch), self.theta())

    def _distribution(self, mean: Tensor) -> Distribution:
        return NegativeBinomialDistribution(mu=mean, theta=self.theta())

    def _of_stored(self, hidden: Tensor, total: Tensor, counts: SparseRows) -> Tensor:
        return negative_binomial_log_likelihood(self.profile(hidden), self.theta(), total, counts)


class ZeroInflatedNegativeBinomial(NegativeBinomial, name="zinb"):
    """Negative binomial with an extra probability of zero per cell and feature :cite:p:`Lopez2018`.

    UMI counts do not need it; full-length protocols may.
    """

    parameter_names = {"mean": "mu", "dispersions": "theta", "dropout": "zi_probs"}

    def __init__(self, n_features: int, n_hidden: int) -> None:
        super().__init__(n_features, n_hidden)
        self.dropout = head(n_hidden, n_features)
        nn.init.constant_(self.dropout.bias, -2.0)

    def forward(self, hidden: Tensor, size_factor: Tensor, batch: Tensor) -> Emission:
        mean = size_factor * self.rates(hidden, batch)
        mixture = ZeroInflatedDistribution(mu=mean, theta=self.theta(), zi_logits=self.dropout(hidden))
        return Emission(unchecked(mixture))


class Bernoulli(Likelihood, name="bernoulli"):
    r""":math:`x_g \sim \mathrm{Bernoulli}(\sigma(w_g h + b_g + \log(l / \tilde l)))`.

    For values that are already 0 or 1. The offset, the log ratio of a cell's number of open features to the median
    :math:`\tilde l`, keeps depth out of the latent.
    """

    values = "binary"
    rate_unit = "probability at median depth"
    zeros_stay = True
    parameter_names = {"mean": "probs"}

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
        logits = self.logits(hidden) + self._offset(size_factor)
        return Emission(BernoulliDistribution(logits=logits, validate_args=False))

    def _offset(self, size_factor: Tensor) -> Tensor:
        return (size_factor / self.size_factor).log()

    def rates(self, hidden: Tensor, batch: Tensor) -> Tensor:
        return self.logits(hidden).sigmoid()

    def expected(self, hidden: Tensor, size_factor: Tensor, batch: Tensor) -> Tensor:
        return (self.logits(hidden) + self._offset(size_factor)).sigmoid()


def overdispersed(mean: Tensor, theta: Tensor) -> Tensor:
    """A draw of the Poisson rates of a negative binomial of such a mean and inverse dispersion, of the mean's shape."""
    return Gamma(theta.expand_as(mean), theta / mean.clamp_min(1e-8), validate_args=False).sample()
