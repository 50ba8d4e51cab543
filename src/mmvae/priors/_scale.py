"""What holds the scale of a latent: D latent dimensions, K components.

A prior with a scale of its own leaves the latent's scale free, since encoder and decoder can undo any; it would drift.
"""

from torch import Tensor

LOG_SCALE_RANGE = (-3.0, 2.0)
"""Of a Gaussian for all cells, and of a latent dimension given others, which may be narrow."""
COMPONENT_LOG_SCALE_RANGE = (-2.5, 1.5)
"""Of a component with independent dimensions: neither a spike on few cells nor as wide as all components together."""
ANCHOR = 1e-3
"""Weight of the pull towards N(0, 1)."""


def anchor(mean: Tensor, variance: Tensor) -> Tensor:
    r"""A small :math:`KL(N(\bar\mu, \bar\sigma^2) \| N(0, 1))` for each mean and variance, in nats, of their shape."""
    return ANCHOR * 0.5 * (variance + mean.square() - 1 - variance.log())


def mixture_anchor(logits: Tensor, loc: Tensor, variance: Tensor) -> Tensor:
    """The anchor of the overall moments, summed over D, of a mixture of ``(K, D)`` Gaussians; a scalar."""
    weight = logits.softmax(dim=0)[:, None]
    mean, square = (weight * loc).sum(dim=0), (weight * (loc.square() + variance)).sum(dim=0)
    # As `anchor` of the mean and the variance, whose sum of variance and squared mean is at hand.
    return ANCHOR * 0.5 * (square - 1 - (square - mean.square()).clamp_min(1e-6).log()).sum()
