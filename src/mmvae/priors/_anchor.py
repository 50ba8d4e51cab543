"""What holds the scale of a mixture prior: D latent dimensions, K components."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

ANCHOR = 1e-3


def moment_anchor(logits: Tensor, loc: Tensor, variance: Tensor) -> Tensor:
    r"""A small :math:`KL(N(\bar\mu, \bar\sigma^2) \| N(0, 1))` of a mixture's overall moments, summed over D; a scalar.

    A prior with a scale of its own leaves the latent's scale free, since encoder and decoder can undo any; it would
    drift.

    Parameters
    ----------
    logits
        Of the components' weights, ``(K,)``.
    loc, variance
        Means and variances of the components, ``(K, D)``.
    """
    weight = logits.softmax(dim=0)[:, None]
    mean = (weight * loc).sum(dim=0)
    spread = ((weight * (loc.square() + variance)).sum(dim=0) - mean.square()).clamp_min(1e-6)
    return ANCHOR * 0.5 * (spread + mean.square() - 1 - spread.log()).sum()
