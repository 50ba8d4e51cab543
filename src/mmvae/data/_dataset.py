"""Minibatches of mosaic data. C cells, M modalities, G_m features."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix
from scvi.data import AnnDataManager, AnnTorchDataset

from mmvae._keys import CELLS, PRESENT, columns_key, layer_key, rows_key, starts_key

from ._access import rows_of
from ._matrix import Matrix, is_sparse, take

# Share of non-zeros up to which dense values, too, are handed on by their non-zeros.
SPARSE_UP_TO = 0.25


class MosaicDataset(AnnTorchDataset):
    """Minibatches of chosen cells, in their order, with the entries that :class:`~mmvae.MosaicDataModule` lists.

    ``matrices`` are those of the modalities that the data have, with rows that are quick to take, and ``n_features`` the
    numbers of features of all of the model's. ``tensors`` are what scvi-tools asks of the registered covariates.
    """

    def __init__(
        self, manager: AnnDataManager, matrices: Mapping[str, Matrix], n_features: Mapping[str, int], tensors: Any
    ) -> None:
        super().__init__(manager, tensors)
        self.matrices, self.n_features = matrices, n_features
        self.rows = {name: rows_of(manager.adata, name) for name in n_features}
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
            batch |= self._values(name, matrices, own[own >= 0])
        for key, values in self.covariates.items():
            batch[key] = values[cells]
        return batch

    def _values(self, name: str, matrices: Mapping[str, Matrix], rows: np.ndarray) -> dict[str, np.ndarray]:
        if name not in matrices or len(rows) == 0:
            return {layer_key(name): np.zeros((0, self.n_features[name]), dtype=np.float32)}
        block = take(matrices[name], rows)
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
