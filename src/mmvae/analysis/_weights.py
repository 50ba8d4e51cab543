"""How far modalities' latents can be relied on, and how much each counts beside the others. C cells, D dimensions."""

from collections.abc import Mapping

import numpy as np
import torch
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

LEAST_RELIABILITY = 0.01
# Standard deviation below which a latent does not vary, relative to its largest value: rounding of single precision.
RESOLUTION = 1e-5
N_NEIGHBORS, FEWEST_CELLS = 15, 50
# Share of a latent's variance that it has to itself, at the least: a copy of another modality is not all that counts.
LEAST_UNIQUENESS = 0.02


def split_half_reliability(first: Tensor, second: Tensor) -> float:
    """Spearman-Brown reliability of a latent :cite:p:`Spearman1910`, from its means by either half of the features.

    Means are ``(C, D)``, of at least one cell. Between 0.01 and 1; 0.01 where they do not differ between cells, which
    tells nothing of them.
    """
    largest = max(first.abs().max(), second.abs().max())
    a, b = first - first.mean(dim=0), second - second.mean(dim=0)
    variance = (a.square().sum() + b.square().sum()) / 2
    if variance <= a.numel() * (RESOLUTION * largest).square():
        return LEAST_RELIABILITY
    agreement = float((a * b).sum() / variance)
    return max(LEAST_RELIABILITY, 2 * agreement / (1 + agreement)) if agreement > 0 else LEAST_RELIABILITY


def total_scale(drawn: Tensor) -> float:
    """Root of the total variance of draws, ``(C, D)``; 1 if there is none.

    Of draws and not of means: those of a modality that tells nothing hardly vary, and need not be blown up.
    """
    total = float(drawn.var(dim=0, correction=0).sum()) if len(drawn) else 0.0
    return total**0.5 if total > 0 else 1.0


def told_by_neighbors(source: np.ndarray, target: np.ndarray) -> float:
    """Share of the variance of ``target``, ``(C, D)``, that a cell's nearest neighbours in ``source``, ``(C, D')``, tell.

    Each cell is predicted by the mean of its 15 nearest other cells. That of K cells with the same expectation misses by
    1 + 1/K times the variance around it, for which the share is corrected. Between 0, also where ``target`` does not
    vary, and 1; NaN with fewer than 50 cells.
    """
    if len(source) < FEWEST_CELLS:
        return float("nan")
    neighbors = NearestNeighbors(n_neighbors=N_NEIGHBORS).fit(source).kneighbors(return_distance=False)
    missed = np.square(target - target[neighbors].mean(axis=1)).sum()
    total = np.square(target - target.mean(axis=0)).sum()
    if total <= target.size * (RESOLUTION * np.abs(target).max()) ** 2:
        return 0.0
    return float(np.clip(1 - missed / total / (1 + 1 / N_NEIGHBORS), 0, 1))


def modality_weights(
    reliability: Mapping[str, float], certainty: Mapping[str, float], agreement: Mapping[str, float]
) -> dict[str, float]:
    """Weight of each modality's latent of variance 1, the largest 1: what repeats of it over what it has to itself.

    ``certainty`` and ``agreement`` are shares of a latent's variance: that of the posterior means, and what another modality
    tells, NaN where that is not known, which counts as 0. What repeats is the reliable part of the means, or what another
    modality tells: of two lower bounds the greater.
    """
    weights = {}
    for name, told in agreement.items():
        known = float(np.nan_to_num(told))
        repeated = max(reliability[name] * certainty[name], known, LEAST_RELIABILITY)
        weights[name] = repeated / max(1 - known, LEAST_UNIQUENESS)
    largest = max(weights.values())
    return {name: weight / largest for name, weight in weights.items()}


def certain_share(means: Tensor, variances: Tensor) -> float:
    """Share of the variance of a latent that is of its posterior means; both ``(C, D)``; 1 if there is no variance."""
    certain, total = _variances(means, variances)
    return float(certain.sum() / total.sum()) if total.sum() > 0 else 1.0


def certain_shares(means: Tensor, variances: Tensor) -> Tensor:
    """:func:`certain_share` of each dimension, ``(D,)``, 0 of one that has no variance."""
    certain, total = _variances(means, variances)
    return torch.where(total > 0, certain / total, 0.0)


def _variances(means: Tensor, variances: Tensor) -> tuple[Tensor, Tensor]:
    """Of the means, and of draws, by dimension."""
    certain = means.var(dim=0, correction=0)
    return certain, certain + variances.mean(dim=0)
