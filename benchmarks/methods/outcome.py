"""What a method gives back."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeAlias

    import numpy as np

    from benchmarks.scores.neighbours import Neighbours
    from benchmarks.tasks import Problem

    Method: TypeAlias = Callable[[Problem], "Outcome"]

NO_SINGLE = "no foscttm: "
TRAINING = "training"


@dataclass
class Outcome:
    """Readouts by name, what held-out cells look like through one modality, seconds, a note, and what to check afterwards.

    Parameters
    ----------
    readouts
        By name, an embedding of the problem's cells or their neighbours.
    single
        By the name of the readout and the modality, the embedding of the held-out cells.
    seconds
        Of training, and of each readout by its name; the rest is set-up.
    note
        Text for the table.
    check
        Called once time and memory are taken.
    """

    readouts: dict[str, np.ndarray | Neighbours] = field(default_factory=dict)
    single: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    note: str = ""
    check: Callable[[], None] = lambda: None

    @contextmanager
    def timing(self, what: str) -> Iterator[None]:
        """Take the seconds of a block."""
        start = time.perf_counter()
        yield
        self.seconds[what] = time.perf_counter() - start

    def add_note(self, text: str) -> None:
        """Append to the note."""
        self.note = "; ".join(filter(None, [self.note, text]))
