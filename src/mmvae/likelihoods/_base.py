"""Base of likelihoods: C cells, G features, H hidden units."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from mmvae._checks import COUNT, check_numbers
from mmvae.nn import Component, SparseRows, WideLinear


@dataclass(frozen=True)
class FeatureStatistics:
    """Summary of a modality's training values that a likelihood starts from.

    ``mean`` and ``sd`` (units of the data), ``log_mean`` and ``log_sd`` (of log1p of the data) and ``proportion`` (of
    all counts) have shape ``(n_features,)``; ``size_factor`` is the median total of a cell.
    """

    mean: Tensor
    sd: Tensor
    log_mean: Tensor
    log_sd: Tensor
    proportion: Tensor
    size_factor: float


class Emission:
    """How the decoder explains a modality.

    Parameters
    ----------
    distribution
        Of the values, batch shape ``(n_cells, n_features)``.
    kl
        Cost in nats of latents that the likelihood has of its own, ``(n_cells,)``, if any.
    log_ratio
        Log-density of their posterior minus that of their prior, at the draw that was used, ``(n_cells,)``.
    """

    def __init__(self, distribution: Distribution, kl: Tensor | None = None, log_ratio: Tensor | None = None) -> None:
        self.distribution, self.kl, self.log_ratio = distribution, kl, log_ratio

    def log_likelihood(self, values: Tensor | SparseRows) -> Tensor:
        """Log-probability of each cell's ``values``, ``(n_cells, n_features)``, in nats, ``(n_cells,)``."""
        if isinstance(values, SparseRows):
            return self.of_stored(values)
        return self.distribution.log_prob(values).sum(dim=-1)

    def of_stored(self, values: SparseRows) -> Tensor:
        """:meth:`log_likelihood` of sparse values; overridden where it needs no more than those that are stored."""
        return self.log_likelihood(values.dense())


class Likelihood(Component, family="likelihood"):
    r"""How one modality's values arise from the decoder's hidden layer, :math:`p(x_m \mid u, s)`.

    Implementing one: inherit with a name, state ``values`` (what :func:`~mmvae.MultiVAE.setup_mudata` checks), make
    the output layers in ``__init__`` and implement :meth:`forward` and :meth:`rates`. Override
    :meth:`encoder_input` and :meth:`init_from` where the defaults (log1p of size-normalised values; nothing) do not
    suit.

    .. code-block:: python

        class Exponential(Likelihood, name="exponential"):
            values = "nonnegative"

            def __init__(self, n_features, n_hidden):
                super().__init__(n_features, n_hidden)
                self.log_rate = torch.nn.Linear(n_hidden, n_features)

            def forward(self, hidden, size_factor, batch):
                return Emission(torch.distributions.Exponential(self.log_rate(hidden).exp()))

            def rates(self, hidden, batch):
                return (-self.log_rate(hidden)).exp()

    Parameters
    ----------
    n_features
        Number of features of the modality, G.
    n_hidden
        Width of the decoder's last hidden layer, H.
    """

    values: ClassVar[Literal["counts", "binary", "nonnegative", "real"]]
    """What the values must be."""
    rate_unit: ClassVar[str] = "units of the data"
    """Unit of :meth:`rates`, for tables and docs."""
    relative: ClassVar[bool] = False
    """Whether :meth:`rates` are proportions that a library size multiplies."""
    zeros_stay: ClassVar[bool] = False
    """Whether :meth:`encoder_input` leaves 0 as it is and reads each value by itself; stated where that is defined."""
    has_background: ClassVar[bool] = False
    """Whether values are background or foreground, see :meth:`foreground_probability`."""
    parameter_names: ClassVar[Mapping[str, str]] = {}
    """Attributes of the distribution that are its parameters, by what users know them as."""

    size_factor: Tensor

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "encoder_input" in vars(cls):  # what a base class says of its own need not hold of it
            cls.zeros_stay = vars(cls).get("zeros_stay", False)

    def __init__(self, n_features: int, n_hidden: int) -> None:
        super().__init__()
        check_numbers({"n_features": COUNT, "n_hidden": COUNT}, n_features=n_features, n_hidden=n_hidden)
        self.n_features, self.n_hidden = n_features, n_hidden
        self.register_buffer("size_factor", torch.ones(()))

    def init_from(self, statistics: FeatureStatistics) -> None:
        """Start from the data's summary."""
        self.size_factor.fill_(statistics.size_factor)

    def encoder_input(self, values: Tensor, size_factor: Tensor) -> Tensor:
        """What the encoder sees of ``values``, ``(n_cells, n_features)``: log1p of them at the median size factor."""
        return torch.log1p(values * (self.size_factor / size_factor))

    def forward(self, hidden: Tensor, size_factor: Tensor, batch: Tensor) -> Emission:
        """Explain the values.

        Parameters
        ----------
        hidden
            Decoder activations, ``(n_cells, n_hidden)``.
        size_factor, batch
            Those of each cell, ``(n_cells, 1)``.
        """
        raise NotImplementedError

    def rates(self, hidden: Tensor, batch: Tensor) -> Tensor:
        """Expected values free of depth, shape ``(n_cells, n_features)``; unit in ``rate_unit``."""
        raise NotImplementedError

    def scaled(self, hidden: Tensor, library_size: Tensor | float, batch: Tensor) -> Tensor:
        """:meth:`rates`, times a library size where they are proportions, ``(n_cells, n_features)``."""
        rates = self.rates(hidden, batch)
        return rates * library_size if self.relative else rates

    def expected(self, hidden: Tensor, size_factor: Tensor, batch: Tensor) -> Tensor:
        """Expected values at the depth of each cell, ``(n_cells, n_features)``; :meth:`scaled` where it is a factor."""
        return self.scaled(hidden, size_factor, batch)

    def denoised(self, hidden: Tensor, library_size: Tensor | float, batch: Tensor) -> Tensor:
        """A draw of what counting noise is added to, ``(n_cells, n_features)``; :meth:`scaled` where that is no draw."""
        return self.scaled(hidden, library_size, batch)

    def sample(self, hidden: Tensor, size_factor: Tensor, batch: Tensor) -> Tensor:
        """A draw of the values, ``(n_cells, n_features)``."""
        return self(hidden, size_factor, batch).distribution.sample()

    def detection(self, hidden: Tensor, size_factor: Tensor, batch: Tensor) -> Tensor:
        """Probability of values above 0 where there are no negative ones, ``(n_cells, n_features)``."""
        zeros = hidden.new_zeros(len(hidden), self.n_features)
        return -torch.expm1(self(hidden, size_factor, batch).distribution.log_prob(zeros))

    def foreground_probability(self, hidden: Tensor) -> Tensor:
        """Probability that a value is not background, ``(n_cells, n_features)``, where ``has_background``."""
        raise NotImplementedError

    def distribution_parameters(self, hidden: Tensor, size_factor: Tensor, batch: Tensor) -> Tensor:
        """Those of ``parameter_names``, ``(n_parameters, n_cells, n_features)``."""
        distribution, shape = self(hidden, size_factor, batch).distribution, (len(hidden), self.n_features)
        return torch.stack([getattr(distribution, name).expand(shape) for name in self.parameter_names.values()])

    def loadings(self) -> list[Tensor]:
        """Weights from the hidden layer to the features, ``(G, H)`` each: those of all linear layers that read it.

        Training gives them a Gaussian prior, on the scale of logarithms, logits or standardised values. Override it where
        a layer's outputs are something else.
        """
        linear = [part for part in self.modules() if isinstance(part, nn.Linear)]
        return [part.weight for part in linear if part.in_features == self.n_hidden]


def head(n_hidden: int, n_features: int) -> nn.Linear:
    """Output layer that starts near its bias, so that training starts from the mean profile."""
    layer = WideLinear(n_hidden, n_features)
    nn.init.normal_(layer.weight, std=0.1 / n_hidden**0.5)
    nn.init.zeros_(layer.bias)
    return layer


def unchecked(distribution: Distribution) -> Distribution:
    """The distribution without the check of values in ``log_prob``, for which every step would wait for the device."""
    distribution._validate_sample = lambda value: None  # type: ignore[method-assign]
    return distribution
