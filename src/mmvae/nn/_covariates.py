"""What is known of cells beside their modalities. C cells."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Covariates:
    """Batch and further covariates of each cell, which the decoders see.

    ``batch`` has shape ``(n_cells, 1)``; ``categorical`` holds one such tensor per covariate; ``continuous``
    has shape ``(n_cells, n_continuous)`` or is ``None``.
    """

    batch: Tensor
    categorical: tuple[Tensor, ...] = ()
    continuous: Tensor | None = None

    def take(self, rows: Tensor) -> Covariates:
        """The cells of these numbers, ``(n_rows,)``."""
        continuous = None if self.continuous is None else self.continuous[rows]
        return Covariates(self.batch[rows], tuple(c[rows] for c in self.categorical), continuous)
