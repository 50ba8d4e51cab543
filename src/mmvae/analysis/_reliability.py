"""Split-half reliability and scale of a latent: C cells, D dimensions."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

FLOOR = 0.01


def split_half_reliability(first: Tensor, second: Tensor) -> float:
    """Reliability of a latent from the means of two halves, both ``(C, D)``."""
    first, second = first - first.mean(dim=0), second - second.mean(dim=0)
    variance = (first.square().sum() + second.square().sum()) / 2
    agreement = float((first * second).sum() / variance) if variance > 0 else 1.0
    return max(FLOOR, 2 * agreement / (1 + agreement)) if agreement > 0 else FLOOR


def total_scale(drawn: Tensor) -> float:
    """Root of the total variance of draws, ``(C, D)``; 1 if there is none.

    Of draws and not of means: those of a modality that tells nothing hardly vary, and need not be blown up.
    """
    total = float(drawn.var(dim=0, correction=0).sum()) if len(drawn) else 0.0
    return total**0.5 if total > 0 else 1.0
