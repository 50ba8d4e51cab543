"""Labels of cells."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData

from mmvae.model.readouts import label_probabilities

from ._base import Readouts


class LabelMethods(Readouts):
    """Labels that the model learnt from labelled cells."""

    def predict(
        self,
        adata: MuData | AnnData | None = None,
        indices: Sequence[int] | None = None,
        *,
        soft: bool = False,
        batch_size: int | None = None,
    ) -> np.ndarray | pd.DataFrame:
        """Labels of cells, whatever they have, learnt from the labelled cells that the model was trained with.

        A linear discriminant analysis of the fused latent, its probabilities calibrated on held-out labelled cells. A
        label is as likely beforehand as it is frequent among the labelled cells. There is one analysis for each missing
        pattern among the cells to predict. It learns from the labelled cells as they look when the model sees of them
        only what that pattern has; so a few labels, of cells that have all modalities or of cells that have some, serve
        all patterns. Any prior will do; ``prior="labels"`` lets the labels shape the latents, too.

        Parameters
        ----------
        adata
            Data other than the model's own.
        indices
            Cells, by number or as a mask; all by default.
        soft
            Whether to return probabilities.
        batch_size
            Cells at a time.

        Returns
        -------
        Labels, ``(n_cells,)``; with ``soft`` a DataFrame of probabilities, cells by labels. Cells that have a label are
        predicted as the others are.

        Raises
        ------
        ValueError
            If the model was trained without labels, or with fewer than 10 labelled cells or 2 labels, or with no more cells
            than labels.
        """
        reader = self._reader()
        found = label_probabilities(reader, adata, indices, batch_size)
        return found if soft else np.asarray(reader.labels)[found.to_numpy().argmax(axis=1)]
