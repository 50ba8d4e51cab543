"""The loaders of a training: of values in memory cell by cell, of values in files in blocks. C cells."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any

import numpy as np
import torch
from scvi.dataloaders import DataSplitter
from torch.utils.data import DataLoader, IterableDataset

from ._dataset import MosaicDataset
from ._manager import MosaicManager
from ._matrix import Matrix, is_on_disk, take_ascending

# Zarr chunks of anndata's default size hold twice as many rows of 500 non-zeros; blocks of 16 are read 15 times slower.
BLOCK_CELLS = 256
# 128 blocks: see the notes on MosaicDataModule.
BUFFER_CELLS = 32_768


class MosaicStream(IterableDataset):
    """Minibatches of ``cells``, each once; ``buffer_cells`` are read at a time, the next ones while these are used.

    Shuffled, they are blocks of ``block_cells`` successive ones, in an order from torch's generator, and mixed in memory.
    """

    def __init__(
        self, dataset: MosaicDataset, cells: np.ndarray, size: int, shuffle: bool, block_cells: int, buffer_cells: int
    ) -> None:
        self.dataset, self.cells, self.batch_size, self.shuffle = dataset, cells, size, shuffle
        # Whole minibatches, so that none but the last is smaller than the others.
        self.block_cells, self.buffer_cells = block_cells, max(1, buffer_cells // size) * size

    def __len__(self) -> int:
        return -(-len(self.cells) // self.batch_size)

    def __iter__(self) -> Iterator[dict[str, Any]]:
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

    def _read(self, cells: np.ndarray) -> tuple[np.ndarray, Mapping[str, np.ndarray], Mapping[str, Matrix]]:
        """Values of each modality, read for these cells, and each cell's row in them, -1 where it lacks the modality."""
        rows, values = {name: own[cells] for name, own in self.dataset.rows.items()}, dict(self.dataset.matrices)
        for name, matrix in self.dataset.matrices.items():
            has = rows[name] >= 0
            if is_on_disk(matrix) and has.any():
                ascending, rows[name][has] = np.unique(rows[name][has], return_inverse=True)
                values[name] = take_ascending(matrix, ascending)
        return cells, rows, values


def _parts(cells: np.ndarray, size: int) -> list[np.ndarray]:
    return [cells[start : start + size] for start in range(0, len(cells), size)]


class MosaicSplitter(DataSplitter):
    """scvi-tools' loaders where all values are in memory, else :class:`MosaicStream`.

    ``stream`` holds ``block_cells`` and ``buffer_cells``. On several devices each reads cells of its own, one by one.
    """

    adata_manager: MosaicManager

    def __init__(self, *args: Any, stream: dict[str, int] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.stream = {"block_cells": BLOCK_CELLS, "buffer_cells": BUFFER_CELLS} | (stream or {})

    def train_dataloader(self) -> DataLoader:
        """Training cells, shuffled."""
        return self._streamed(self.train_idx, shuffle=True) if self._streams else super().train_dataloader()

    def val_dataloader(self) -> DataLoader | None:
        """Validation cells, in order; ``None`` without any."""
        return self._streamed(self.val_idx) if self._streams and len(self.val_idx) else super().val_dataloader()

    @property
    def registry(self) -> dict[str, Any]:
        """What was registered, to build a model from."""
        return self.adata_manager.registry

    @property
    def _streams(self) -> bool:
        return self.adata_manager.is_on_disk and not self.data_loader_kwargs.get("distributed_sampler", False)

    def _streamed(self, cells: np.ndarray, batch_size: int | None = None, *, shuffle: bool = False) -> DataLoader:
        size = batch_size or self.data_loader_kwargs["batch_size"]
        stream = MosaicStream(self.adata_manager.create_torch_dataset(), cells, size, shuffle, **self.stream)
        return DataLoader(stream, batch_size=None, pin_memory=self.pin_memory)
