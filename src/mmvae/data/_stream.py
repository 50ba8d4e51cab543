"""Minibatches of cells that are read from files, in blocks of neighbours. C cells."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np
import torch
from torch.utils.data import IterableDataset

from ._dataset import MosaicDataset
from ._matrix import Block, take_ascending

# Zarr chunks of anndata's default size hold twice as many rows of 500 non-zeros; blocks of 16 are read 15 times slower.
BLOCK_CELLS = 256
# 128 blocks: see the notes on MosaicDataModule.
BUFFER_CELLS = 32_768


class MosaicStream(IterableDataset):
    """Minibatches of ``cells``, ``(n_cells,)``, each cell once, as :class:`MosaicDataset` gives them.

    ``buffer_cells`` are read at a time, the next ones while these are used. Where they are shuffled, they are blocks of
    ``block_cells`` successive ones, in an order from torch's generator, and are mixed in memory.
    """

    def __init__(
        self,
        dataset: MosaicDataset,
        cells: np.ndarray,
        batch_size: int,
        *,
        shuffle: bool = False,
        block_cells: int = BLOCK_CELLS,
        buffer_cells: int = BUFFER_CELLS,
    ) -> None:
        self.dataset, self.cells, self.batch_size = dataset, cells, batch_size
        self.shuffle, self.block_cells = shuffle, block_cells
        # Whole minibatches, so that none but the last is smaller than the others.
        self.buffer_cells = max(1, buffer_cells // batch_size) * batch_size

    def __len__(self) -> int:
        return -(-len(self.cells) // self.batch_size)

    def __iter__(self) -> Iterator[dict[str, np.ndarray | torch.Tensor]]:
        loads = self._loads()
        with ThreadPoolExecutor(1) as ahead:
            coming = [ahead.submit(self._read, cells) for cells in islice(loads, 1)]
            while coming:
                cells, rows, values = coming.pop().result()
                coming += [ahead.submit(self._read, cells) for cells in islice(loads, 1)]
                for start in range(0, len(cells), self.batch_size):
                    part = slice(start, start + self.batch_size)
                    own = {name: places[part] for name, places in rows.items()}
                    yield self.dataset.minibatch(cells[part], own, values)

    def _loads(self) -> Iterator[np.ndarray]:
        """Cells that are read together, in the order in which they are used."""
        if not self.shuffle:
            yield from _parts(self.cells, self.buffer_cells)
            return
        generator = np.random.default_rng(int(torch.empty((), dtype=torch.int64).random_()))
        blocks = _parts(self.cells, self.block_cells)
        order = np.concatenate([blocks[i] for i in generator.permutation(len(blocks))])
        yield from map(generator.permutation, _parts(order, self.buffer_cells))

    def _read(self, cells: np.ndarray) -> tuple[np.ndarray, Mapping[str, np.ndarray], Mapping[str, Block]]:
        """Values of each modality of cells that have it, and each cell's row in them, -1 where it lacks the modality."""
        rows, values = {}, {}
        for name, places in self.dataset.rows.items():
            rows[name] = places[cells]
            has = rows[name] >= 0
            ascending, rows[name][has] = np.unique(rows[name][has], return_inverse=True)
            if name in self.dataset.matrices and has.any():
                values[name] = take_ascending(self.dataset.matrices[name], ascending)
        return cells, rows, values


def _parts(cells: np.ndarray, size: int) -> list[np.ndarray]:
    return [cells[start : start + size] for start in range(0, len(cells), size)]
