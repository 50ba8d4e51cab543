"""Summary of a modality's values, streamed. C cells, G features."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from mmvae.likelihoods import FeatureStatistics

from ._matrix import blocks, by_rows, is_sparse

if TYPE_CHECKING:
    from ._matrix import Block, Matrix

ROUNDING = 1e-12


def feature_statistics(matrix: Matrix) -> FeatureStatistics:
    """Mean, standard deviation and share of every feature, and the median total of a cell.

    Parameters
    ----------
    matrix
        Values of the cells that have the modality, ``(n_present, n_features)``; read block by block.
    """
    n_cells, n_features = matrix.shape
    sums = np.zeros((4, n_features))
    totals = np.ones(max(n_cells, 1))
    for start, block in blocks(by_rows(matrix)):
        sums += [_column_sums(part) for part in _powers(block)]
        totals[start : start + block.shape[0]] = np.asarray(block.sum(axis=1)).ravel()
    mean, square, log_mean, log_square = sums / max(n_cells, 1)
    return FeatureStatistics(
        mean=_tensor(mean),
        sd=_sd(square, mean),
        log_mean=_tensor(log_mean),
        log_sd=_sd(log_square, log_mean),
        proportion=_tensor((np.abs(sums[0]) + 1e-3) / (np.abs(sums[0]) + 1e-3).sum()),
        size_factor=max(float(np.median(totals)), 1.0),
    )


def _powers(block: Block) -> list[Block]:
    """The values, their squares, their log1p and its square; log1p of negative values counts as 0."""
    values = block.astype(np.float64)
    logs = values.maximum(0).log1p() if is_sparse(values) else np.log1p(np.maximum(values, 0))
    return [values, _square(values), logs, _square(logs)]


def _square(values: Block) -> Block:
    return values.multiply(values) if is_sparse(values) else values**2


def _column_sums(values: Block) -> np.ndarray:
    return np.asarray(values.sum(axis=0)).ravel()


def _sd(square: np.ndarray, mean: np.ndarray) -> torch.Tensor:
    variance = square - mean**2
    # What rounding leaves of a constant is not a spread.
    return _tensor(np.sqrt(np.where(variance > ROUNDING * mean**2, variance, 0.0)))


def _tensor(values: np.ndarray) -> torch.Tensor:
    return torch.as_tensor(values, dtype=torch.float32)
