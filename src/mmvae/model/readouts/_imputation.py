"""A modality as the others tell it. C cells, G_m features."""

import os
from collections.abc import Sequence

import numpy as np

from mmvae.data import checked_path
from mmvae.model._data import Data, DataAccess, Indices
from mmvae.model._reader import Reader

from ._decoding import Request, Values, decoded, gathered


class ImputationMethods(DataAccess):
    """What modalities tell of each other."""

    def impute(
        self,
        modality: str,
        indices: Indices | None = None,
        *,
        adata: Data | None = None,
        features: Sequence[str] | None = None,
        transform_batch: str | None = None,
        library_size: float = 1.0,
        n_samples: int = 1,
        batch_size: int | None = None,
        out: str | os.PathLike[str] | None = None,
        overwrite: bool = False,
    ) -> Values:
        """Expected values of a modality, predicted from the *other* modalities of a cell.

        The cell's own measurement of ``modality``, if it has one, is withheld, so that predictions for measured cells
        can be held against what was measured. Units are those of :meth:`get_normalized_expression`. Where no cell of a
        batch has the modality, nothing is known of the batch's effect on it: name one that has it as
        ``transform_batch``.

        Parameters
        ----------
        modality
            Which modality to predict. Cells that have nothing else are refused.
        indices
            Cells, by number or as a mask; by default those that lack the modality.
        adata, features, transform_batch, library_size, n_samples, batch_size, out, overwrite
            As in :meth:`get_normalized_expression`.

        Returns
        -------
        DataFrame of cells by features; with ``out`` its path.
        """
        path = None if out is None else checked_path(out, self.adata, adata, overwrite=overwrite)
        reader = Reader(self)
        request = Request(reader, modality, features, transform_batch, library_size, n_samples)
        data = reader.data(adata)
        cells = _imputable(reader, data, request.modality, indices)
        minibatches = (m.without(request.modality) for m in reader.minibatches(data, cells, batch_size))
        return gathered(decoded(reader, minibatches, request), data.obs_names[cells], request, path)


def _imputable(reader: Reader, data: Data, modality: str, indices: Indices | None) -> np.ndarray:
    """Numbers of the cells to impute, by default those that lack the modality."""
    cells, presence = reader.cells(data, indices)
    index = reader.names.index(modality)
    if indices is None:
        return cells[~presence[:, index]]
    others = np.delete(presence, index, axis=1).any(axis=1)
    if not others.all():
        example = data.obs_names[cells[~others][0]]
        msg = (
            f"Expected cells with another modality than '{modality}' to predict it from; {int((~others).sum())} "
            f"cells, such as '{example}', have none. Leave them out of indices."
        )
        raise ValueError(msg)
    return cells
