"""Minibatches of values that stay on a device. C cells, G_m features of modality m, N stored values."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import numpy as np
import psutil
import scipy.sparse as sp
import torch
from torch import Tensor
from torch.utils.data import Dataset

from mmvae._keys import CELLS, PRESENT, columns_key, layer_key, rows_key, starts_key

from ._dataset import SPARSE_UP_TO, MosaicDataset
from ._matrix import Matrix, blocks, is_sparse

GB = 2**30
BYTES = 8  # of a stored value with its column


class StoredRows(NamedTuple):
    """A matrix by its stored values: ``values`` and ``columns``, ``(N,)``, on a device, ``starts``, ``(C + 1,)``, here."""

    values: Tensor
    columns: Tensor
    starts: np.ndarray
    n_columns: int
    was_dense: bool

    @classmethod
    def of(cls, matrix: Matrix, device: torch.device) -> Self:
        """From a matrix in memory."""
        stored = _by_stored(matrix)
        values = torch.as_tensor(stored.data.astype(np.float32, copy=False)).to(device)
        columns = torch.as_tensor(stored.indices.astype(np.int32, copy=False)).to(device)
        return cls(values, columns, stored.indptr.astype(np.int64), stored.shape[1], not is_sparse(matrix))

    def places(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where ``rows`` start when they are put together, ``(n_rows + 1,)``, and how far each is from there, ``(n_rows,)``."""
        first = self.starts[rows]
        starts = np.concatenate([[0], np.cumsum(self.starts[rows + 1] - first)])
        return starts, first - starts[:-1]

    def is_dense(self, n_rows: int, n_stored: int) -> bool:
        """Whether rows are handed on as a matrix: those of a dense one that are mostly not 0, and none."""
        return n_rows == 0 or (self.was_dense and n_stored > SPARSE_UP_TO * n_rows * self.n_columns)


class ResidentDataset(Dataset):
    """The minibatches of a :class:`MosaicDataset` whose values are all in memory, gathered on ``device``.

    Nothing waits for the device: how much is stored in which row is known here.
    """

    def __init__(self, dataset: MosaicDataset, device: torch.device) -> None:
        self.device, self.n_features, self.rows = device, dataset.n_features, dataset.rows
        # Every value was compared when the training began; another pass would take a copy of all of them.
        self.stored = {
            name: StoredRows.of(matrix if (order := dataset.orders.get(name)) is None else matrix[:, order], device)
            for name, matrix in dataset.matrices.items()
        }
        self.covariates = {key: torch.as_tensor(values).to(device) for key, values in dataset.covariates.items()}

    def __len__(self) -> int:
        return len(next(iter(self.rows.values())))

    def __getitem__(self, indexes: list[int]) -> dict[str, Tensor]:
        """Minibatch of the cells of these numbers; a ``RuntimeError`` after :meth:`clear`."""
        if not self.stored:
            msg = "Expected a loader of a training that goes on; got one whose values have left the card. Make it anew."
            raise RuntimeError(msg)
        cells = np.asarray(indexes, dtype=np.int64)
        rows = {name: own[cells] for name, own in self.rows.items()}
        present = np.stack([own >= 0 for own in rows.values()], axis=1)
        numbers = {CELLS: cells, PRESENT: present.ravel()}
        numbers |= {rows_key(name): np.flatnonzero(own >= 0) for name, own in rows.items()}
        for name, stored in self.stored.items():
            starts, shift = stored.places(rows[name][rows[name] >= 0])
            numbers |= {starts_key(name): starts, _shift_key(name): shift}
        sent = self._sent(numbers)
        batch = {CELLS: sent[CELLS], PRESENT: sent[PRESENT].bool().reshape(present.shape)}
        for name in self.rows:
            n_stored = int(numbers[starts_key(name)][-1]) if name in self.stored else 0
            batch |= {rows_key(name): sent[rows_key(name)]} | self._values(name, sent, n_stored)
        return batch | {key: values[sent[CELLS]] for key, values in self.covariates.items()}

    def clear(self) -> None:
        """Give the memory back."""
        self.stored.clear()
        self.covariates.clear()

    def _sent(self, numbers: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
        """Whole numbers of several kinds on the device, in one copy."""
        together = torch.as_tensor(np.concatenate(list(numbers.values())))
        if self.device.type == "cuda":
            together = together.pin_memory()
        parts = together.to(self.device, non_blocking=True).split([len(own) for own in numbers.values()])
        return dict(zip(numbers, parts, strict=True))

    def _values(self, name: str, sent: Mapping[str, Tensor], n_stored: int) -> dict[str, Tensor]:
        n_rows = len(sent[rows_key(name)])
        if name not in self.stored:
            return {layer_key(name): torch.zeros(0, self.n_features[name], device=self.device)}
        stored, starts = self.stored[name], sent[starts_key(name)]
        own = torch.repeat_interleave(starts.diff(), output_size=n_stored)
        place = torch.arange(n_stored, device=self.device) + sent[_shift_key(name)][own]
        values, columns = stored.values[place], stored.columns[place].long()
        if not stored.is_dense(n_rows, n_stored):
            return {layer_key(name): values, columns_key(name): columns, starts_key(name): starts}
        full = torch.zeros(n_rows, stored.n_columns, device=self.device)
        return {layer_key(name): full.index_put_((own, columns), values)}


def placement(matrices: Mapping[str, Matrix], device: torch.device) -> tuple[bool, str]:
    """Whether these values may stay on a card, of whose free memory they take half at the most, and that in words."""
    needed, free = BYTES * sum(map(_n_stored, matrices.values())), free_memory(device)
    takes = f"{needed / GB:.2g} GB of values"
    if needed <= free / 2:
        return True, f"The {takes} are kept on the card, of which {free / GB:.2g} GB were free."
    return (
        False,
        f"The {takes} stay in the computer's memory: they take over half of the {free / GB:.2g} GB free on the card.",
    )


def free_memory(device: torch.device) -> int:
    """Bytes that are free on a card, or here."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else psutil.virtual_memory().available


def _by_stored(matrix: Matrix) -> sp.csr_matrix:
    """As CSR in which each entry occurs once, in order; the caller's matrix is left as it is."""
    if is_sparse(matrix) and matrix.has_canonical_format:
        return matrix
    parts = [sp.csr_matrix(np.asarray(b, np.float32)) if not is_sparse(b) else b for _, b in blocks(matrix)]
    return sp.vstack(parts, format="csr") if parts else sp.csr_matrix(matrix.shape, dtype=np.float32)


def _n_stored(matrix: Any) -> int:
    return int(matrix.nnz if is_sparse(matrix) else np.count_nonzero(matrix))


def _shift_key(name: str) -> str:
    return f"shift_{name}"
