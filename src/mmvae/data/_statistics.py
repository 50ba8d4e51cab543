"""Summary of a modality's values, streamed. C cells, G features."""

import numpy as np
import torch

from mmvae.likelihoods import FeatureStatistics

from ._matrix import Block, Matrix, blocks, by_rows, is_sparse

# What rounding leaves of a constant, relative to its square, is not a spread.
ROUNDING = 1e-12


class Moments:
    """Sums over the cells that have a modality, ``(n_cells, n_features)``, added up block by block."""

    def __init__(self, n_cells: int, n_features: int) -> None:
        self.n_cells = n_cells
        self._sums = np.zeros((4, n_features))
        self._totals = np.ones(max(n_cells, 1))

    def add(self, start: int, block: Block) -> None:
        """Add a block of cells, ``(n_rows, n_features)``, whose first is number ``start``."""
        values = block.astype(np.float64)
        # Values out of range are the set-up's to find.
        with np.errstate(over="ignore", invalid="ignore"):
            # Log1p of negative values counts as 0.
            logs = values.maximum(0).log1p() if is_sparse(values) else np.log1p(np.maximum(values, 0))
            parts = (values, _square(values), logs, _square(logs))
            self._sums += [np.asarray(part.sum(axis=0)).ravel() for part in parts]
            self._totals[start : start + block.shape[0]] = np.asarray(values.sum(axis=1)).ravel()

    def statistics(self) -> FeatureStatistics:
        """Mean, standard deviation and share of every feature, and the median total of a cell."""
        mean, square, log_mean, log_square = torch.as_tensor(self._sums / max(self.n_cells, 1))
        counts = torch.as_tensor(np.abs(self._sums[0]) + 1e-3)
        return FeatureStatistics(
            mean=mean.float(),
            sd=_sd(square, mean),
            log_mean=log_mean.float(),
            log_sd=_sd(log_square, log_mean),
            proportion=(counts / counts.sum()).float(),
            size_factor=max(float(np.median(self._totals)), 1.0),
        )


def feature_statistics(matrix: Matrix) -> FeatureStatistics:
    """Summary of the values of the cells that have the modality, ``(n_present, n_features)``; read block by block."""
    moments = Moments(*matrix.shape)
    for start, block in blocks(by_rows(matrix)):
        moments.add(start, block)
    return moments.statistics()


def _square(values: Block) -> Block:
    return values.multiply(values) if is_sparse(values) else values**2


def _sd(square: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
    variance = square - mean**2
    return torch.where(variance > ROUNDING * mean**2, variance, 0.0).sqrt().float()
