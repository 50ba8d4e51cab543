"""Split-half reliability and scale of a latent: C cells, D dimensions."""

from torch import Tensor

FLOOR = 0.01
# Standard deviation below which a latent does not vary, relative to its largest value: rounding of single precision.
RESOLUTION = 1e-5


def split_half_reliability(first: Tensor, second: Tensor) -> float:
    """Spearman-Brown reliability of a latent :cite:p:`Spearman1910`, from its means by either half of the features.

    Parameters
    ----------
    first, second
        Means, ``(C, D)``, of at least one cell.

    Returns
    -------
    Between 0.01 and 1; 0.01 where the means do not differ between cells, which tells nothing of them.
    """
    largest = max(first.abs().max(), second.abs().max())
    a, b = first - first.mean(dim=0), second - second.mean(dim=0)
    variance = (a.square().sum() + b.square().sum()) / 2
    if variance <= a.numel() * (RESOLUTION * largest).square():
        return FLOOR
    agreement = float((a * b).sum() / variance)
    return max(FLOOR, 2 * agreement / (1 + agreement)) if agreement > 0 else FLOOR


def total_scale(drawn: Tensor) -> float:
    """Root of the total variance of draws, ``(C, D)``; 1 if there is none.

    Of draws and not of means: those of a modality that tells nothing hardly vary, and need not be blown up.
    """
    total = float(drawn.var(dim=0, correction=0).sum()) if len(drawn) else 0.0
    return total**0.5 if total > 0 else 1.0
