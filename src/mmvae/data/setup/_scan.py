"""One pass over a modality's values. C cells, G features."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch

from mmvae.data._matrix import Block, Matrix, blocks, by_rows, is_sparse
from mmvae.likelihoods import FeatureStatistics

EXAMPLES = 3
# Counts up to this one tell reads from fragments: reads come in pairs, so their counts are mostly even.
SMALL_COUNT = 4
# Share of the non-zero values up to which others than counts are errors. Normalising leaves hardly any whole number but 0.
FEW = 0.01
# Single precision holds the squares of values up to this one, and sums of many.
LARGEST_VALUE = 1e18
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
            self._sums += [np.asarray(part.sum(axis=0)).ravel() for part in _parts(values)]
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


@dataclass
class Found:
    """Values of one kind: how many, and the first ones with their rows."""

    n: int = 0
    rows: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def add(self, where: np.ndarray, values: np.ndarray, start: int, block: Block) -> None:
        """Count those of a block's stored ``values`` that ``where`` says; ``start`` is the block's first row."""
        if where.any():
            self.n += int(where.sum())
            stored = np.diff(block.indptr) if is_sparse(block) else block.shape[1]
            rows = np.unique(np.repeat(np.arange(block.shape[0]), stored)[where]) + start
            self.rows.extend(rows[: EXAMPLES - len(self.rows)].tolist())
            self.values.extend(values[where][: EXAMPLES - len(self.values)].tolist())


class Scan:
    """What the values of a modality are: numbers that can be computed with or not, negative, or not integers, and their moments.

    ``n_several`` are integers above 1, ``n_empty`` cells without any non-zero value, ``n_odd`` the odd ones of ``n_small``.
    """

    def __init__(self, moments: Moments | None) -> None:
        self.moments = moments
        self.nonfinite, self.negative, self.fractional = Found(), Found(), Found()
        self.n_nonzero = self.n_several = self.n_empty = self.n_small = self.n_odd = 0
        self.maximum = 0.0

    @property
    def is_counts(self) -> bool:
        """Whether every value is a non-negative integer."""
        return self.nonfinite.n + self.negative.n + self.fractional.n == 0

    @property
    def is_nearly_counts(self) -> bool:
        """Whether some values, but few, keep these from being counts."""
        few = self.negative.n + self.fractional.n <= max(1, FEW * self.n_nonzero)
        return not self.is_counts and self.nonfinite.n == 0 and few and self.n_several > 0


def scan(matrix: Matrix, *, with_moments: bool = False) -> Scan:
    """Read every value of a matrix once, block by block."""
    found = Scan(Moments(*matrix.shape) if with_moments else None)
    for start, block in blocks(by_rows(matrix)):
        _count(found, start, block)
        if found.moments is not None:
            found.moments.add(start, block)
    return found


def feature_statistics(matrix: Matrix, columns: np.ndarray | None = None) -> FeatureStatistics:
    """Summary of the values of the cells that have the modality, ``(n_present, n_features)``; read block by block.

    ``columns`` are those of the features, where they are not all in order.
    """
    moments = Moments(matrix.shape[0], matrix.shape[1] if columns is None else len(columns))
    for start, block in blocks(by_rows(matrix)):
        moments.add(start, block if columns is None else block[:, columns])
    return moments.statistics()


def _count(found: Scan, start: int, block: Block) -> None:
    values = block.data if is_sparse(block) else np.asarray(block).ravel()
    found.n_empty += int((np.asarray((block != 0).sum(axis=1)) == 0).sum())
    with np.errstate(over="ignore"):
        finite = np.abs(values.astype(np.float32, copy=False)) <= LARGEST_VALUE
    whole = finite & (values == np.floor(values))
    found.nonfinite.add(~finite, values, start, block)
    found.negative.add(finite & (values < 0), values, start, block)
    found.fractional.add(finite & ~whole, values, start, block)
    found.n_nonzero += int(np.count_nonzero(values))
    found.n_several += int((whole & (values > 1)).sum())
    found.maximum = max(found.maximum, float(np.max(values, initial=0.0, where=finite)))
    small = finite & (values >= 1) & (values <= SMALL_COUNT)
    found.n_small += int(small.sum())
    found.n_odd += int((values[small] % 2 == 1).sum())


def _parts(values: Block) -> Iterator[Block]:
    """What is summed of each feature, one after the other, and squared; log1p of negative values counts as 0."""
    yield values
    yield values.multiply(values) if is_sparse(values) else values**2
    logs = values.maximum(0).log1p() if is_sparse(values) else np.log1p(np.maximum(values, 0))
    yield logs
    yield logs.multiply(logs) if is_sparse(logs) else logs**2


def _sd(square: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
    variance = square - mean**2
    return torch.where(variance > ROUNDING * mean**2, variance, 0.0).sqrt().float()
