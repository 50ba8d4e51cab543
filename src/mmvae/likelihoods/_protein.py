"""Surface proteins: C cells, G proteins, H hidden units, S batches."""

import torch
from scvi.distributions import NegativeBinomialMixture as MixtureDistribution
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence
from torch.nn.functional import softplus

from mmvae._checks import COUNT, check_numbers
from mmvae.nn import CategoryTable

from ._base import Emission, FeatureStatistics, Likelihood, head, unchecked
from ._counts import LOG_THETA_RANGE, overdispersed

LOG_SCALE_RANGE = (-4.0, 1.0)
LOG_BACKGROUND_RANGE = (-9.0, 14.0)


class NegativeBinomialMixture(Likelihood, name="nb_mixture"):
    r"""Background and foreground counts of a protein, after totalVI :cite:p:`Gayoso2021`.

    .. math::

        \log \beta_g &\sim N(c_{gs}, d_{gs}^2) \\
        x_g &\sim \pi_g\,\mathrm{NB}(\beta_g, \phi_g) + (1 - \pi_g)\,\mathrm{NB}(\beta_g (1 + \alpha_g), \phi_g)

    The background :math:`\beta_g` is a latent of the cell with a learned prior per protein and batch s, started at
    the lower mode of the data; :math:`\pi` and :math:`\alpha > 0` are decoded. There is no library size: total
    protein counts vary with biology.

    Parameters
    ----------
    n_features, n_hidden, n_batch
        Number of proteins, G, width of the decoder's last hidden layer, H, and number of batches, S.
    """

    values = "counts"
    rate_unit = "foreground counts"
    has_background = True
    parameter_names = {
        "background": "mu1",
        "foreground": "mu2",
        "dispersions": "theta1",
        "background_probability": "mixture_probs",
    }
    log_mean: Tensor

    def __init__(self, n_features: int, n_hidden: int, n_batch: int = 1) -> None:
        super().__init__(n_features, n_hidden)
        check_numbers({"n_batch": COUNT}, n_batch=n_batch)
        self.n_batch = n_batch
        self.background_shift = head(n_hidden, n_features)
        self.background_log_scale = head(n_hidden, n_features)
        self.foreground = head(n_hidden, n_features)
        self.background_logits = head(n_hidden, n_features)
        self.prior_loc = CategoryTable(n_features, n_batch)
        self.prior_log_scale = CategoryTable(n_features, n_batch)
        self.log_phi = nn.Parameter(torch.full((n_features,), 1.0))
        self.register_buffer("log_mean", torch.zeros(n_features))
        nn.init.constant_(self.background_log_scale.bias, -1.0)
        nn.init.constant_(self.prior_log_scale.weight, -0.5)

    def init_from(self, statistics: FeatureStatistics) -> None:
        super().init_from(statistics)
        self.log_mean.copy_(statistics.log_mean)
        # Two modes of equal weight at a - d and a + d have mean a and standard deviation d.
        background = torch.expm1(statistics.log_mean - statistics.log_sd).clamp_min(0.1)
        fold = (statistics.mean / background - 1.0).clamp(0.5, 50.0)
        with torch.no_grad():
            self.prior_loc.weight.copy_(background.log()[:, None].expand_as(self.prior_loc.weight))
            self.foreground.bias.copy_(torch.expm1(fold).log())

    def encoder_input(self, values: Tensor, size_factor: Tensor) -> Tensor:
        # Centred by protein and by cell, as a centred log ratio; not scaled by protein, which would raise the noise of
        # proteins that are background everywhere to the level of those that vary.
        logs = torch.log1p(values) - self.log_mean
        return logs - logs.mean(dim=-1, keepdim=True)

    def _prior(self, batch: Tensor) -> Normal:
        scale = self.prior_log_scale(batch).clamp(*LOG_SCALE_RANGE).exp()
        return Normal(self.prior_loc(batch), scale, validate_args=False)

    def _background(self, hidden: Tensor, prior: Normal) -> Normal:
        scale = self.background_log_scale(hidden).clamp(*LOG_SCALE_RANGE).exp()
        return Normal(prior.loc + self.background_shift(hidden), scale, validate_args=False)

    def loadings(self) -> list[Tensor]:
        # Not of the foreground, a ratio that may be large.
        return [self.background_shift.weight, self.background_log_scale.weight, self.background_logits.weight]

    def _fold(self, hidden: Tensor) -> Tensor:
        return 1.0 + softplus(self.foreground(hidden)) + 1e-4

    def _mixture(self, hidden: Tensor, log_background: Tensor) -> MixtureDistribution:
        background = log_background.clamp(*LOG_BACKGROUND_RANGE).exp()
        theta, logits = self.log_phi.clamp(*LOG_THETA_RANGE).exp(), self.background_logits(hidden)
        return MixtureDistribution(background, background * self._fold(hidden), theta, mixture_logits=logits)

    def forward(self, hidden: Tensor, size_factor: Tensor, batch: Tensor) -> Emission:
        prior = self._prior(batch)
        posterior = self._background(hidden, prior)
        drawn = posterior.rsample()
        log_ratio = (posterior.log_prob(drawn) - prior.log_prob(drawn)).sum(dim=-1)
        return Emission(unchecked(self._mixture(hidden, drawn)), kl_divergence(posterior, prior).sum(dim=-1), log_ratio)

    def rates(self, hidden: Tensor, batch: Tensor) -> Tensor:
        posterior = self._background(hidden, self._prior(batch))
        # Mean of a log-normal, which the exponential of its logarithm's mean, the median, falls short of.
        background = (posterior.loc + 0.5 * posterior.variance).clamp(*LOG_BACKGROUND_RANGE).exp()
        return background * self._fold(hidden) * self.foreground_probability(hidden)

    def foreground_probability(self, hidden: Tensor) -> Tensor:
        return (-self.background_logits(hidden)).sigmoid()

    def denoised(self, hidden: Tensor, library_size: Tensor | float, batch: Tensor) -> Tensor:
        # Counts of background are none.
        mixture = self._mixture(hidden, self._background(hidden, self._prior(batch)).sample())
        is_foreground = torch.rand_like(mixture.mu2) >= mixture.mixture_probs
        return overdispersed(mixture.mu2, mixture.theta1) * is_foreground
