"""One pass over a modality's values. C cells, G features."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from mmvae.data._matrix import blocks, by_rows, rows_of_stored, stored_values

if TYPE_CHECKING:
    from mmvae.data._matrix import Block, Matrix

EXAMPLES = 3
SMALL_COUNT = 4
"""Counts up to this one tell reads from fragments: reads come in pairs, so their counts are mostly even."""


@dataclass
class Scan:
    """What the values of a modality are.

    Numbers of values that are not finite, negative or not integers, with the rows where the first ones stand;
    ``maximum``; ``n_empty``, cells without any non-zero value; and how many of the small counts are odd.
    """

    n_nonfinite: int = 0
    n_negative: int = 0
    n_fractional: int = 0
    n_empty: int = 0
    maximum: float = 0.0
    n_small: int = 0
    n_odd: int = 0
    rows_nonfinite: list[int] = field(default_factory=list)
    rows_negative: list[int] = field(default_factory=list)
    fractions: list[float] = field(default_factory=list)

    @property
    def is_counts(self) -> bool:
        """Whether every value is a non-negative integer."""
        return self.n_nonfinite + self.n_negative + self.n_fractional == 0

    @property
    def is_binary(self) -> bool:
        """Whether every value is 0 or 1."""
        return self.is_counts and self.maximum <= 1

    @property
    def looks_like_reads(self) -> bool:
        """Whether the small counts are even far too often for fragments."""
        return self.is_counts and self.n_small > 1000 and self.n_odd < 0.3 * self.n_small


def scan(matrix: Matrix) -> Scan:
    """Read every value of a matrix once, block by block."""
    found = Scan()
    for start, block in blocks(by_rows(matrix)):
        values = stored_values(block)
        _count_faults(found, values, start, block)
        found.n_empty += int((np.asarray((block != 0).sum(axis=1)).ravel() == 0).sum())
    return found


def _count_faults(found: Scan, values: np.ndarray, start: int, block: Block) -> None:
    if values.size == 0:
        return
    finite = np.isfinite(values)
    negative = values < 0
    fractional = finite & (values != np.floor(values))
    if not finite.all():
        found.n_nonfinite += int((~finite).sum())
        _remember(found.rows_nonfinite, ~finite, start, block)
    if negative.any():
        found.n_negative += int(negative.sum())
        _remember(found.rows_negative, negative, start, block)
    if fractional.any():
        found.n_fractional += int(fractional.sum())
        found.fractions.extend(values[fractional][: EXAMPLES - len(found.fractions)].tolist())
    found.maximum = max(found.maximum, float(np.max(values, initial=0.0, where=finite)))
    small = finite & (values >= 1) & (values <= SMALL_COUNT)
    found.n_small += int(small.sum())
    found.n_odd += int((values[small] % 2 == 1).sum())


def _remember(rows: list[int], where: np.ndarray, start: int, block: Block) -> None:
    fresh = np.unique(rows_of_stored(block)[where]) + start
    rows.extend(fresh[: EXAMPLES - len(rows)].tolist())
