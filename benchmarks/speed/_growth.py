"""How an epoch's time grows with the cells and with the peaks of simulated data, with sampled peaks and without."""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING

from ._equal import epoch_of
from ._jobs import Choice, Job, Measured
from ._methods import OURS, SAMPLED
from ._simulated import N_GENES, Size, simulated

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mudata import MuData

N_CELLS, N_PEAKS = 3_000, 10_000


def jobs(choice: Choice) -> Iterator[Job]:
    """A run for each size and method; then the next round."""
    sizes = {
        "cells": {n: Size(n, N_GENES, N_PEAKS) for n in choice.growing_cells},
        "peaks": {n: Size(choice.cells or N_CELLS, N_GENES, n) for n in choice.growing_peaks},
    }
    for number in choice.rounds:
        for growing, own in sizes.items():
            for n, size in own.items():
                for method in (OURS, SAMPLED):
                    for batch_size in choice.batch_sizes:
                        measure = partial(_measure, size, method, choice, batch_size, number)
                        yield Job("growth", growing, method, batch_size, number, measure, n)


def _measure(size: Size, method: str, choice: Choice, batch_size: int, number: int) -> Measured:
    return epoch_of(_made(size), method, choice, batch_size, number)


@cache
def _made(size: Size) -> MuData:
    return simulated(size)
