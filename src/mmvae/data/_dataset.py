"""Minibatches of mosaic data. C cells, M modalities, G_m features."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from anndata import AnnData
from mudata import MuData
from scipy.sparse import csr_matrix
from scvi.data import AnnTorchDataset
from torch.utils.data import Dataset, Subset

from mmvae._keys import CELLS, PRESENT, columns_key, layer_key, rows_key, starts_key

from ._access import rows_of
from ._matrix import Matrix, is_sparse, take

SPARSE_UP_TO = 0.25
"""Share of non-zeros up to which dense values, too, are handed on by their non-zeros."""


class RowSource(Protocol):
    """What a data set reads: registered data, their modalities by name, and matrices whose rows are quick to take."""

    adata: AnnData | MuData
    names: list[str]

    def matrices(self) -> Mapping[str, Matrix]:
        """Values of the registered modalities that the data have, by name."""
        ...

    def n_features(self, name: str) -> int:
        """Number of features of a modality."""
        ...

    def get_from_registry(self, registry_key: str) -> np.ndarray:
        """Registered values."""
        ...


class MosaicDataset(AnnTorchDataset):
    """Rows of each modality for the cells of a minibatch, in the cells' order.

    An item holds, for each modality m, the values ``X_m`` of the cells that have it, ``(n_present, G_m)``, or where they
    are sparse the stored ones, ``(n_stored,)``, with their ``columns_m`` and where each row ``starts_m``,
    ``(n_present + 1,)``; the places of these cells in the minibatch, ``rows_m``, ``(n_present,)``; which cells have what, ``present``, boolean,
    ``(n_cells, n_modalities)``; the cells' numbers, ``ind_x``; and the registered covariates, ``(n_cells, ...)``. Rows are
    found through ``mdata.obsmap``, so the order of the cells inside a modality does not matter, and nothing is padded.

    Parameters
    ----------
    manager
        Registered data.
    getitem_tensors
        Registry keys to return, as in :class:`~scvi.data.AnnTorchDataset`.
    load_sparse_tensor
        Taken for scvi-tools' sake: sparse values are never made dense here.
    """

    def __init__(
        self,
        manager: RowSource,
        getitem_tensors: list | dict[str, type] | None = None,
        load_sparse_tensor: bool = False,
    ) -> None:
        super().__init__(manager, getitem_tensors, load_sparse_tensor)
        self.rows = {name: rows_of(manager.adata, name) for name in manager.names}
        self.matrices = manager.matrices()
        self.n_features = {name: manager.n_features(name) for name in manager.names}
        layers = {layer_key(name) for name in manager.names}
        self.covariates = {
            key: np.asarray(manager.get_from_registry(key)).astype(dtype)
            for key, dtype in self.keys_and_dtypes.items()
            if key not in layers
        }

    @classmethod
    def of(
        cls,
        manager: RowSource,
        indices: Sequence[int] | Sequence[bool] | None,
        getitem_tensors: list | dict[str, Any] | None,
        load_sparse_tensor: bool,
    ) -> Dataset:
        """Data set of the cells that ``indices`` name, of all where it is ``None``."""
        dataset = cls(manager, getitem_tensors, load_sparse_tensor)
        return dataset if indices is None else Subset(dataset, indices)

    def __getitem__(self, indexes: int | list[int] | slice) -> dict[str, np.ndarray | torch.Tensor]:
        """Minibatch of the cells that ``indexes`` names."""
        cells = self._numbers(indexes)
        rows = {name: own[cells] for name, own in self.rows.items()}
        batch: dict[str, np.ndarray | torch.Tensor] = {
            PRESENT: np.stack([own >= 0 for own in rows.values()], axis=1),
            CELLS: cells,
        }
        for name, own in rows.items():
            places = np.flatnonzero(own >= 0)
            batch[rows_key(name)] = places
            batch |= self._values(name, own[places])
        for key, values in self.covariates.items():
            chosen = values[cells]
            batch[key] = chosen[:, None] if chosen.ndim == 1 else chosen
        return batch

    def _numbers(self, indexes: int | list[int] | slice) -> np.ndarray:
        """Cells by number; numbers are not looked up among those of all cells, which would take time for each of them."""
        chosen = np.atleast_1d(np.arange(len(self))[indexes] if isinstance(indexes, slice) else np.asarray(indexes))
        return np.flatnonzero(chosen) if chosen.dtype == bool else chosen.astype(np.int64)

    def _values(self, name: str, rows: np.ndarray) -> dict[str, np.ndarray]:
        if name not in self.matrices or len(rows) == 0:
            return {layer_key(name): np.zeros((0, self.n_features[name]), dtype=np.float32)}
        block = take(self.matrices[name], rows)
        if not is_sparse(block):
            block = np.asarray(block, dtype=np.float32)
            if np.count_nonzero(block) > SPARSE_UP_TO * block.size:
                return {layer_key(name): block}
            block = csr_matrix(block)
        return {
            layer_key(name): block.data.astype(np.float32, copy=False),
            columns_key(name): block.indices.astype(np.int64),
            starts_key(name): block.indptr.astype(np.int64),
        }
