"""A modality as the others tell it. C cells, G_m features."""

import os
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mmvae.data import checked_path
from mmvae.model._data import Data, DataAccess, Indices
from mmvae.model._reader import Reader
from mmvae.train import seeded

from ._calibration import calibration, is_measurable
from ._decoding import LibrarySize, Request, Values, decoded, gathered
from ._draws import Hidden
from ._intervals import draws_for, gathered_intervals, intervals
from ._quality import Quality, quality


class ImputationMethods(DataAccess):
    """What modalities tell of each other."""

    @seeded(0)
    def impute(
        self,
        modality: str,
        adata: Data | None = None,
        indices: Indices | None = None,
        transform_batch: Any = None,
        gene_list: Sequence[str] | None = None,
        library_size: LibrarySize = 1.0,
        n_samples: int | None = None,
        *,
        interval: float | None = None,
        batch_size: int | None = None,
        silent: bool = True,
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
        adata, transform_batch, gene_list, library_size, batch_size, silent, out, overwrite
            As in :meth:`get_normalized_expression`.
        indices
            Cells, by number or as a mask; by default those that lack the modality.
        n_samples
            Samples of the posterior to average over; by default 1, the value at the posterior mean, and 100 with
            ``interval``.
        interval
            Share of what is predicted that intervals are to hold, such as 0.9. Counts, if the cell were measured: at
            most half of the rest is below; what is not, as where the lower end is 0, is above, too. They are those of
            draws of the posterior and of the likelihood, at a depth that follows from the latent and the batch as it
            does in measured cells, corrected by how often the validation cells' own counts, withheld, are inside, by
            groups of like expected counts. Expected values: those of draws of the posterior, wider by what validation
            cells miss beyond the noise of counts. What the decoder itself may have got wrong is not in there, so that
            intervals of expected values are rather too narrow (``docs/imputation.md``).

        Returns
        -------
        DataFrame of cells by features. With ``interval`` a named tuple of five: ``mean``, ``lower`` and ``upper`` of expected
        values, ``lower_count`` and ``upper_count`` of what would be measured. With ``out`` its path; with ``interval``, X is
        the mean, and the ends are layers.

        Warns
        -----
        UserWarning
            If ridge regression, nearest neighbours or means of labels predict the modality of validation cells better:
            see :meth:`check_imputation`, which is done at the first call with the data that the model was trained with.
        """
        path = None if out is None else checked_path(out, self.adata, adata, overwrite=overwrite)
        reader = Reader(self)
        n_samples = draws_for(interval, n_samples)
        request = Request(reader, reader.modality(modality), gene_list, transform_batch, library_size, n_samples)
        data = reader.data(adata)
        cells = _imputable(reader, data, modality, indices)
        self._warn_if_beaten(reader, modality)
        return _predicted(Hidden(reader, data, cells, [modality]), request, interval, batch_size, path, silent=silent)

    @seeded(0)
    def translate(
        self,
        source: str | Sequence[str],
        target: str,
        adata: Data | None = None,
        indices: Indices | None = None,
        transform_batch: Any = None,
        gene_list: Sequence[str] | None = None,
        library_size: LibrarySize = 1.0,
        n_samples: int | None = None,
        *,
        interval: float | None = None,
        batch_size: int | None = None,
        silent: bool = True,
        out: str | os.PathLike[str] | None = None,
        overwrite: bool = False,
    ) -> Values:
        """Expected values of a modality, predicted from one other modality alone, or from several.

        As :meth:`impute`, but whatever else a cell has is withheld, too.

        Parameters
        ----------
        source, target
            What to predict from, one modality or several of which each cell has at least one, and what to predict.
        adata, transform_batch, gene_list, library_size, n_samples, interval, batch_size, silent, out, overwrite
            As in :meth:`impute`. Intervals are calibrated on cells of which all but the target was seen.
        indices
            Cells, by number or as a mask; by default those that have the source.

        Returns
        -------
        As :meth:`impute`.
        """
        path = None if out is None else checked_path(out, self.adata, adata, overwrite=overwrite)
        reader = Reader(self)
        given = [source] if isinstance(source, str) or not isinstance(source, Iterable) else list(source)
        if not given or given == [None]:
            msg = f"Expected source as one or more modalities, of {reader.names}; got {source!r}. Name what to predict from."
            raise ValueError(msg)
        sources = [reader.modality(name) for name in given]
        if target in sources:
            msg = f"Expected a target that is none of the sources, {sources}; got '{target}'. Leave it out of source."
            raise ValueError(msg)
        n_samples = draws_for(interval, n_samples)
        request = Request(reader, reader.modality(target), gene_list, transform_batch, library_size, n_samples)
        data = reader.data(adata)
        cells = _having(reader, data, sources, indices)
        hidden = Hidden(reader, data, cells, [name for name in reader.names if name not in sources])
        if hidden.names == [target]:
            self._warn_if_beaten(reader, target)
        return _predicted(hidden, request, interval, batch_size, path, silent=silent)

    def check_imputation(self, modality: str) -> pd.DataFrame:
        """How well a modality is predicted, beside what plain methods predict of the same held-out cells.

        Of at most 2,000 validation cells that have the modality and another one, from which the modality is withheld,
        and the 500 features at the most that vary most. The plain methods learn from at most 2,000 training cells, of
        the other modalities' 30 principal components (of their 2,000 most variable features): ``ridge`` regression, which
        is told the batch, too, the mean of the 30 nearest cells, ``neighbors``, and, if labels were registered, the mean
        of the cells with the same label, ``label``. Values are compared as the encoder sees them: logarithms of counts at
        the median depth, for example. Validation cells chose the epoch that was kept, so that mmvae has a slight
        advantage.

        Parameters
        ----------
        modality
            Which modality.

        Returns
        -------
        DataFrame of features by score and method: ``correlation`` over cells, NaN where the measured values of a feature
        do not vary, and ``error``, root mean square. Its mean is the modality's. What was found is remembered, and saved
        with the model.
        """
        reader = Reader(self)
        found = quality(reader, reader.modality(modality))
        if found is None:
            msg = (
                f"Expected validation cells that have '{modality}' and another modality, and the data that the model was "
                "trained with, with their values; got too few or others. Train with a validation_size that leaves 20 such cells or more."
            )
            raise ValueError(msg)
        return found.frame()

    def _warn_if_beaten(self, reader: Reader, modality: str) -> None:
        found: Quality | None = quality(reader, modality)
        if found is not None and found.is_beaten:
            warnings.warn(found.words(modality), UserWarning, stacklevel=3)


def remember_imputation(reader: Reader) -> None:
    """Measure what imputation needs to know of values, before these are gone."""
    for name in reader.names:
        if is_measurable(reader, name):
            calibration(reader, name)
            quality(reader, name)


def _predicted(
    hidden: Hidden, request: Request, interval: float | None, batch_size: int | None, path: Path | None, *, silent: bool
) -> Values:
    names = hidden.data.obs_names[hidden.cells]
    if interval is not None:
        return gathered_intervals(intervals(hidden, request, interval, batch_size, silent=silent), names, request, path)
    seen = (seen for _, seen in hidden.minibatches(batch_size, silent=silent))
    return gathered(decoded(hidden.reader, seen, request), names, request, path)


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


def _having(reader: Reader, data: Data, sources: Sequence[str], indices: Indices | None) -> np.ndarray:
    """Numbers of the cells that have any of the sources, by default all of them."""
    cells, presence = reader.cells(data, indices)
    has = presence[:, [reader.names.index(name) for name in sources]].any(axis=1)
    if indices is not None and not has.all():
        example = data.obs_names[cells[~has][0]]
        msg = (
            f"Expected cells with {' or '.join(map(repr, sources))}; {int((~has).sum())} cells, such as '{example}', lack "
            "it. Leave them out of indices."
        )
        raise ValueError(msg)
    return cells[has]
