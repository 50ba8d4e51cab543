"""What there is to measure: the choice that a call makes, and its single runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ._budget import Budget

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

CPU, CUDA = "cpu", "cuda"


@dataclass(frozen=True)
class Choice:
    """What a call measures.

    Parameters
    ----------
    folder
        Of the data sets.
    parts, sets, peers, rounds
        What is run, in this order; rounds are numbers, the seeds of the models.
    cells
        Of each real data set: at the most, and on a card as many, the same ones again and again. ``None`` is a default of
        the part.
    device
        ``"cpu"`` or ``"cuda"``.
    batch_sizes
        Of the runs with equal settings.
    epochs
        Of each training, the first of which is not counted.
    growing_cells, growing_peaks
        Sizes between which growth is measured.
    budget
        Of the call.
    """

    folder: Path
    parts: Sequence[str]
    sets: Sequence[str]
    peers: Sequence[str] = ("multivi", "totalvi")
    rounds: Sequence[int] = (0, 1, 2)
    cells: int | None = None
    device: str = CPU
    batch_sizes: Sequence[int] = (128,)
    epochs: int = 4
    growing_cells: Sequence[int] = (2_000, 4_000, 8_000, 16_000)
    growing_peaks: Sequence[int] = (12_500, 25_000, 50_000, 100_000)
    budget: Budget = field(default_factory=Budget)


class Measured(NamedTuple):
    """Numbers of cells and features, and what was found, by metric."""

    n_cells: int
    n_features: int
    values: dict[str, float]


@dataclass(frozen=True)
class Job:
    """One run: its names in the table, and the function that measures it.

    ``batch_size`` is 0 where it is the method's own. ``size`` tells growing data apart. ``least`` is the seconds that the
    run takes at the least, as far as is known.
    """

    part: str
    data: str
    method: str
    batch_size: int
    round: int
    measure: Callable[[], Measured]
    size: int = 0
    least: float = 0.0

    @property
    def kind(self) -> tuple[Hashable, ...]:
        """What runs that take the same time have in common."""
        return self.part, self.data, self.method, self.batch_size, self.size

    def __str__(self) -> str:
        size = f" {self.size:,}" if self.size else ""
        batch = f", batch size {self.batch_size}" if self.batch_size else ""
        return f"{self.part}: {self.data}{size}, {self.method}{batch}, round {self.round}"
