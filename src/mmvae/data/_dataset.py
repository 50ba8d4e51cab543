"""Minibatches of mosaics: of values in memory cell by cell, of values in files in blocks. C cells, M modalities."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple
from itertools import islice
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_matrix
from scvi.data import AnnTorchDataset
from torch.utils.data import IterableDataset

from mmvae._errors import SetupError
from mmvae._keys import CELLS, PRESENT, columns_key, layer_key, posterior_keys, rows_key, starts_key

from ._access import rows_of
from ._matrix import Block, Matrix, is_on_disk, is_sparse, take, take_ascending
from ._minified import Minification, stored_posteriors

# Share of non-zeros up to which dense values, too, are handed on by their non-zeros.
SPARSE_UP_TO = 0.25
# Zarr chunks of anndata's default size hold twice as many rows of 500 non-zeros; blocks of 16 are read 15 times slower.
BLOCK_CELLS = 256
# 128 blocks: see the notes on MosaicDataModule.
BUFFER_CELLS = 32_768


class MosaicDataset(AnnTorchDataset):
    """Minibatches of chosen cells, in their order, with the entries that :class:`~mmvae.MosaicDataModule` lists.

    ``matrices``, whose rows are quick to take, are of the modalities that the data have, ``n_features`` of all of the model's.
    ``orders`` holds the columns of the features where they are not all in order. Values that are no longer what was
    registered are a ``SetupError``.
    """

    def __init__(
        self,
        manager: Any,  # a MosaicManager
        matrices: Mapping[str, Matrix],
        n_features: Mapping[str, int],
        tensors: Any,
        orders: Mapping[str, np.ndarray],
    ) -> None:
        super().__init__(manager, tensors)
        self.owned = manager.adata  # as a loader may be the only one to hold them
        self.matrices, self.n_features, self.orders = matrices, n_features, orders
        self.registered = manager.registered
        self.registered_rows = self.registered.rows(self.owned)
        self.rows = {name: rows_of(manager.adata, name) for name in n_features}
        self.stored = stored_posteriors(manager.adata, list(n_features))
        how = Minification.of(manager.adata)
        self.has_values = how is None or how.has_values
        layers = set(map(layer_key, n_features))
        self.covariates = {
            key: np.asarray(manager.get_from_registry(key)).astype(dtype).reshape(len(manager.adata), -1)
            for key, dtype in self.keys_and_dtypes.items()
            if key not in layers
        }

    def __getitem__(self, indexes: int | list[int] | slice) -> dict[str, Any]:
        """Minibatch of the cells that ``indexes`` names."""
        # Numbers are not looked up among those of all cells, which would take time for each of them.
        chosen = np.atleast_1d(np.arange(len(self))[indexes] if isinstance(indexes, slice) else np.asarray(indexes))
        cells = np.flatnonzero(chosen) if chosen.dtype == bool else chosen.astype(np.int64)
        return self.minibatch(cells, {name: own[cells] for name, own in self.rows.items()}, self.matrices)

    def minibatch(
        self, cells: np.ndarray, rows: Mapping[str, np.ndarray], matrices: Mapping[str, Matrix]
    ) -> dict[str, Any]:
        """Minibatch of ``cells``, ``(n_cells,)``, whose values are in ``rows``, -1 where there are none, of ``matrices``."""
        present = np.stack([own >= 0 for own in rows.values()], axis=1)
        batch: dict[str, Any] = {PRESENT: present, CELLS: cells}
        for name, own in rows.items():
            batch[rows_key(name)] = np.flatnonzero(own >= 0)
            batch |= self._values(name, matrices, own[own >= 0]) if self.has_values else {}
        for name, posterior in self.stored.items():
            # Those of a stream are of what it has read.
            own = self.rows[name][cells]
            batch |= dict(zip(posterior_keys(name), (part[own[own >= 0]] for part in astuple(posterior)), strict=True))
        for key, values in self.covariates.items():
            batch[key] = values[cells]
        return batch

    def block(self, name: str, rows: np.ndarray, matrix: Matrix) -> Block:
        """Values of a modality in these rows of ``matrix``, ``(n_rows, n_features)``."""
        block = take(matrix, rows)
        if name in self.registered_rows:
            sums, places = self.registered_rows[name]
            if (differ := sums.differ(places[rows], block)).any():
                raise SetupError(self.registered.changed_values(self.owned, name, rows[differ], len(rows)))
        return block[:, self.orders[name]] if name in self.orders else block

    def _values(self, name: str, matrices: Mapping[str, Matrix], rows: np.ndarray) -> dict[str, np.ndarray]:
        if name not in matrices or len(rows) == 0:
            return {layer_key(name): np.zeros((0, self.n_features[name]), dtype=np.float32)}
        block = self.block(name, rows, matrices[name])
        if not is_sparse(block):
            block = np.asarray(block, dtype=np.float32)
            if np.count_nonzero(block) > SPARSE_UP_TO * block.size:
                return {layer_key(name): block}
            block = csr_matrix(block)
        block.sum_duplicates()
        return {
            layer_key(name): block.data.astype(np.float32, copy=False),
            columns_key(name): block.indices.astype(np.int64),
            starts_key(name): block.indptr.astype(np.int64),
        }


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
                for part in _parts(np.arange(len(cells)), self.batch_size):
                    own = {name: places[part] for name, places in rows.items()}
                    yield self.dataset.minibatch(cells[part], own, values)

    def _loads(self) -> Iterator[np.ndarray]:
        """Cells that are read together, in the order in which they are used."""
        if not self.shuffle:
            return iter(_parts(self.cells, self.buffer_cells))
        generator = np.random.default_rng(int(torch.empty((), dtype=torch.int64).random_()))
        blocks = _parts(self.cells, self.block_cells)
        order = np.concatenate([blocks[i] for i in generator.permutation(len(blocks))])
        return map(generator.permutation, _parts(order, self.buffer_cells))

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
