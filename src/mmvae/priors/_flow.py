"""Normalising flow: D latent dimensions."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Normal

from mmvae._checks import COUNT, check_numbers

from ._base import PosteriorSample, PriorContext, WarmStarted
from ._scale import ANCHOR


class Flow(WarmStarted, name="flow"):
    r"""Masked autoregressive flow :cite:p:`Papamakarios2017` on the standardised latent.

    .. math:: p(z) = N(f(\tilde z); 0, I) \left| \det \frac{\partial f(\tilde z)}{\partial z} \right|, \qquad
              \tilde z_d = \frac{z_d - a_d}{b_d}

    f is a chain of maps :math:`y_d = \tilde z_d\, e^{s_d(\tilde z_{<d})} + t_d(\tilde z_{<d})`, every other one with the
    dimensions in reverse. N(0, I) during a short warm start; then a and b are set to the latents' mean and standard
    deviation, and f starts as the identity.

    A density needs one pass through each map, a draw D of them. With few thousand cells a flow can follow single cells;
    the validation ELBO says so.

    Needs `zuko <https://zuko.readthedocs.io>`_: ``pip install "mmvae[flows]"``.

    Parameters
    ----------
    n_latent
        Latent dimensions, D, at least 2.
    n_transforms
        Number of maps in the chain.
    width
        Hidden units of both hidden layers of each map.

    Raises
    ------
    ImportError
        If zuko is not installed.
    ValueError
        If there is one latent dimension only.
    """

    mean: Tensor
    sd: Tensor

    def __init__(self, n_latent: int, n_transforms: int = 2, width: int = 32) -> None:
        super().__init__(n_latent)
        if n_latent < 2:
            msg = f"Expected n_latent of at least 2 for prior 'flow'; got {n_latent}. Use prior 'mog'."
            raise ValueError(msg)
        check_numbers(dict.fromkeys(("n_transforms", "width"), COUNT), n_transforms=n_transforms, width=width)
        self.n_transforms, self.width = n_transforms, width
        self.maps: nn.Module = _autoregressive(n_latent, n_transforms, width)
        for layer in self._last_layers():
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.register_buffer("mean", torch.zeros(n_latent))
        self.register_buffer("sd", torch.ones(n_latent))

    def learned(self, context: PriorContext) -> Distribution:
        return FlowDensity(self.maps(), self.mean, self.sd)

    @torch.no_grad()
    def init_from(self, sample: PosteriorSample) -> None:
        self.mean.copy_(sample.loc.mean(dim=0))
        # The spread of the latents, their posteriors' own included.
        variance = sample.loc.var(dim=0) + sample.scale.square().mean(dim=0)
        self.sd.copy_(variance.clamp_min(1e-4).sqrt())
        self.mark_initialised()

    def scale_cost(self) -> Tensor:
        """Hold what the maps do to all latents alike near the identity."""
        return ANCHOR * 0.5 * torch.stack([layer.bias.square().sum() for layer in self._last_layers()]).sum()

    def _last_layers(self) -> list[nn.Linear]:
        """The layer of each map that gives shift and log-scale."""
        hypers: list[Any] = [m.hyper for m in self.maps.modules() if hasattr(m, "hyper")]
        return [hyper[-1] for hyper in hypers]


class FlowDensity(Distribution):
    """Density of a latent whose standardised form ``transform`` maps to N(0, I); it has ``call_and_ladj`` and ``inv``."""

    arg_constraints = {}
    has_rsample = True

    def __init__(self, transform: Any, mean: Tensor, sd: Tensor) -> None:
        super().__init__(event_shape=mean.shape, validate_args=False)
        self.transform, self._mean, self._sd = transform, mean, sd

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density in nats, of shape ``value.shape[:-1]``."""
        noise, log_volume = self.transform.call_and_ladj((value - self._mean) / self._sd)
        standard = Normal(torch.zeros_like(self._mean), torch.ones_like(self._sd), validate_args=False)
        return standard.log_prob(noise).sum(dim=-1) + log_volume - self._sd.log().sum()

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws of shape ``(*sample_shape, n_latent)``."""
        noise = torch.randn(self._extended_shape(torch.Size(sample_shape)), device=self._mean.device)
        return self._mean + self._sd * self.transform.inv(noise)


def _autoregressive(n_latent: int, n_transforms: int, width: int) -> nn.Module:
    """The chain of maps, as a module whose call gives the transformation."""
    # Importing zuko switches off the validation of arguments of all of torch's distributions.
    validates = Distribution._validate_args
    try:
        from zuko.flows import MAF
    except ImportError as error:
        msg = "Expected zuko for prior 'flow'; it is not installed. Run: pip install \"mmvae[flows]\"."
        raise ImportError(msg) from error
    finally:
        Distribution.set_default_validate_args(validates)
    maps: nn.Module = MAF(n_latent, transforms=n_transforms, hidden_features=(width, width)).transform
    return maps
