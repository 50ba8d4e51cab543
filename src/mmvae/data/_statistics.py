"""Summary of a modality's values, streamed. C cells, G features."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from mmvae.likelihoods import FeatureStatistics

from ._matrix import blocks, by_rows, is_sparse

if TYPE_CHECKING:
    from ._matrix import Block, Matrix


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
    mean, log_mean = (_tensor(s / max(n_cells, 1)) for s in (sums[0], sums[2]))
    return FeatureStatistics(
        mean=mean,
        sd=_sd(sums[1], mean, n_cells),
        log_mean=log_mean,
        log_sd=_sd(sums[3], log_mean, n_cells),
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


def _sd(squares: np.ndarray, mean: torch.Tensor, n_cells: int) -> torch.Tensor:
    return (_tensor(squares / max(n_cells, 1)) - mean.square()).clamp_min(0).sqrt()


def _tensor(values: np.ndarray) -> torch.Tensor:
    return torch.as_tensor(values, dtype=torch.float32)
