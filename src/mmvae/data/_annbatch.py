"""Ranges of rows of Zarr stores, read at once by annbatch, which has no other way in than a sampler."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from annbatch import Loader
from annbatch.abc import Sampler


class _Ranges(Sampler):
    """One request of the rows of all ranges, in their order."""

    batch_size, shuffle = None, False

    def __init__(self, ranges: list[range]) -> None:
        self.rows = np.concatenate(ranges)

    def n_batches(self, n_obs: int) -> int:
        return 1

    def validate(self, n_obs: int) -> None:
        """There is nothing to choose wrongly."""

    def _sample(self, n_obs: int) -> Iterator[Any]:
        yield {"requests": self.rows, "splits": [np.arange(len(self.rows))]}


def read_ranges(matrix: Any, ranges: list[range]) -> Any:
    """Ascending ranges of rows of a matrix in a Zarr store, one after the other."""
    loader = Loader(batch_sampler=_Ranges(ranges), preload_to_gpu=False).add_dataset(matrix)
    return next(iter(loader))["X"]
