"""Decoded values."""

from collections.abc import Sequence

import pandas as pd
from anndata import AnnData
from mudata import MuData

from mmvae.model.readouts import Request, expected_values, imputed_values

from ._base import Readouts


class ExpressionMethods(Readouts):
    """What the decoders say of cells."""

    def get_normalized_expression(
        self,
        adata: MuData | AnnData | None = None,
        modality: str | None = None,
        indices: Sequence[int] | None = None,
        *,
        features: Sequence[str] | None = None,
        transform_batch: str | None = None,
        library_size: float = 1.0,
        n_samples: int = 1,
        batch_size: int | None = None,
    ) -> pd.DataFrame:
        """Expected values of a modality, decoded from everything that a cell has.

        Cells that lack the modality get a prediction. Depth is taken out: for ``nb``, ``zinb`` and ``poisson`` the
        values are shares of a cell's counts times ``library_size``; for ``bernoulli`` probabilities at median depth;
        for ``nb_mixture`` expected foreground counts; for ``normal`` and ``student_t`` means in units of the data.

        Parameters
        ----------
        adata
            Data other than the model's own.
        modality
            Which modality; may be left out if there is one.
        indices
            Cells, by number or as a mask; all by default.
        features
            Features to return, by name; all by default. The result is dense, ``(n_cells, n_features)``: name the ones
            needed where there are many cells.
        transform_batch
            Decode as if all cells came from this batch; each cell's own by default.
        library_size
            What shares are multiplied by.
        n_samples
            1: values at the posterior mean. More: the mean over so many samples of the posterior.
        batch_size
            Cells at a time.

        Returns
        -------
        DataFrame of cells by features.

        Raises
        ------
        ValueError
            If a modality, feature or batch is unknown.
        """
        reader = self._reader()
        request = Request.of(
            reader,
            modality,
            features=features,
            transform_batch=transform_batch,
            library_size=library_size,
            n_samples=n_samples,
        )
        return expected_values(reader, adata, indices, batch_size, request)

    def impute(
        self,
        modality: str,
        indices: Sequence[int] | None = None,
        *,
        adata: MuData | AnnData | None = None,
        features: Sequence[str] | None = None,
        transform_batch: str | None = None,
        library_size: float = 1.0,
        n_samples: int = 1,
        batch_size: int | None = None,
    ) -> pd.DataFrame:
        """Expected values of a modality, predicted from the *other* modalities of a cell.

        The cell's own measurement of ``modality``, if it has one, is withheld, so that predictions for measured cells
        can be held against what was measured. Units are those of :meth:`get_normalized_expression`. Where no cell of a
        batch has the modality, nothing is known of the batch's effect on it: name one that has it as ``transform_batch``.

        Parameters
        ----------
        modality
            Which modality to predict.
        indices
            Cells, by number or as a mask; by default those that lack the modality.
        adata
            Data other than the model's own.
        features, transform_batch, library_size, n_samples, batch_size
            As in :meth:`get_normalized_expression`.

        Returns
        -------
        DataFrame of cells by features.

        Raises
        ------
        ValueError
            If a cell has nothing but ``modality``, or a modality, feature or batch is unknown.
        """
        reader = self._reader()
        request = Request.of(
            reader,
            modality,
            features=features,
            transform_batch=transform_batch,
            library_size=library_size,
            n_samples=n_samples,
        )
        return imputed_values(reader, adata, indices, batch_size, request)
