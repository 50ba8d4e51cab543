"""Priors: their components, their fit, draws from them, outliers to them."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData

from mmvae.model.readouts import (
    Request,
    check_prior,
    mixture_latents,
    outlier_scores,
    prior_summary,
    responsibilities,
    sample,
)
from mmvae.module import MultiVAEModule

from ._base import Readouts


class PriorMethods(Readouts):
    """What the priors have learnt."""

    module: MultiVAEModule

    @property
    def mixture_latents(self) -> list[str]:
        """Names of the latents whose prior is a mixture with the same components for every cell."""
        return mixture_latents(self.module)

    def get_responsibilities(
        self,
        adata: MuData | AnnData | None = None,
        indices: Sequence[int] | None = None,
        *,
        latent: str | None = None,
        batch_size: int | None = None,
    ) -> pd.DataFrame:
        r"""Soft clusters: the probability that a cell belongs to each component of a latent's mixture prior.

        .. math:: r_{nk} = \mathbb{E}_{q(z \mid x_n)} \frac{\pi_k\, p_k(z)}{\sum_j \pi_j\, p_j(z)}

        by the mean over 16 draws. Each modality has clusters of its own under fusion ``"concat"``: those of RNA need
        not be those of ATAC. Labels of cells are not looked at.

        Parameters
        ----------
        adata
            Data other than the model's own.
        indices
            Cells, by number or as a mask; all by default.
        latent
            Which latent: a modality, ``"joint"`` for fusions with one latent, ``"coupled"`` for a coupled prior; may be
            left out if there is one.
        batch_size
            Cells at a time.

        Returns
        -------
        DataFrame of cells by components; rows sum to 1. A cell that lacks the latent's modality has NaN: its latent is
        a guess from the others, and would give no more than theirs. Under a coupled prior every cell has a row, from
        what it has.

        Raises
        ------
        ValueError
            If the latent is unknown, or its prior is no mixture.
        """
        return responsibilities(self._reader(), latent, adata, indices, batch_size)

    def prior_summary(self, n_features: int = 10) -> pd.DataFrame:
        """What the priors have learnt: their components, as clusters of the model's own data.

        Parameters
        ----------
        n_features
            Features to name for each component and modality.

        Returns
        -------
        DataFrame with a row for each component, heaviest first, or one for a prior that has none:

        - ``latent``, ``prior``: the latent and the name of its prior;
        - ``component``, and ``label`` where there is a prior ``"labels"``;
        - ``weight``: its weight in the prior;
        - ``n_cells``: cells of the data that belong to it (sum of :meth:`get_responsibilities`); of a prior without
          components, the cells that have the latent;
        - ``effective_components``: the exponential of the entropy of the weights, the same for all rows of a latent.
          Next to 1, the mixture has collapsed into one Gaussian;
        - ``batch_evenness``: the entropy of its cells over the batches, by share of each batch, relative to the most
          possible. 1: it draws from all batches alike; near 0: the component is a batch. NaN with one batch;
        - ``top_<modality>``: the features in which the component's mean, decoded, exceeds the average of the other
          components the most, by log fold change (the difference, for values that may be negative). Latents of other
          modalities are imputed as for a cell that lacks them, so the features of another modality than the
          component's are predictions.

        Raises
        ------
        ValueError
            If the model was loaded without data.

        Notes
        -----
        Components are sorted by their cells; their numbers mean nothing across models.
        """
        return prior_summary(self._reader(), n_features)

    def check_prior(self, n_cells: int = 2_000, seed: int = 0) -> pd.DataFrame:
        """Whether draws of the priors look like cells, tested with a classifier :cite:p:`LopezPaz2017`.

        For each latent, one draw of the posterior of every cell against as many draws of the prior. A classifier
        (logistic regression with squares and products, and gradient-boosted trees) learns to tell them apart, and its
        cross-validated AUC says how well it can: 0.5, not at all; 1, always. Below 0.6 the verdict is "close", below
        0.75 "roughly", else "differs". By chance alone the AUC strays from 0.5 by about 0.4 over the root of
        ``n_cells``.

        The row ``joint`` is about all latents of a cell together, in cells that have all modalities. Priors that are
        independent fail it even where each fits: the difference to the others is the dependence between modalities,
        which ``prior="coupled"`` learns.

        Held-out cells are used if there are 200 or more, else all cells, to which the priors were fitted. A prior that
        looks at labels, covariates or the cell itself is drawn from in the context of each cell.

        Parameters
        ----------
        n_cells
            Cells to use at most.
        seed
            Of the cells, the draws and the classifier.

        Returns
        -------
        DataFrame with a row for each latent, of which the columns are ``latent``, ``n_cells``, ``auc``, and
        ``verdict``, in words.

        Raises
        ------
        ValueError
            If the model was loaded without data.
        """
        return check_prior(self._reader(), n_cells, seed)

    def sample(
        self,
        n: int,
        modality: str | None = None,
        *,
        source: str | None = None,
        batch: str | None = None,
        library_size: float = 1.0,
        seed: int = 0,
    ) -> pd.DataFrame:
        """Expected values of new cells, drawn from the prior and decoded.

        The latents of a cell come from the prior that they have in common, if it is coupled or the fusion has one
        latent. Otherwise priors know nothing of each other, and drawing each latent from its own would make chimeras:
        one latent alone, that of ``source``, is drawn from its prior, and the others are imputed as for a cell that
        lacks them. How far such cells can be trusted, :meth:`check_prior` says.

        A new cell takes batch and covariates from a random cell of the model's data that has ``source``; a prior that
        looks at labels, covariates or the cell is that of this cell.

        Parameters
        ----------
        n
            Number of cells.
        modality
            Modality to decode; may be left out if there is one.
        source
            Modality whose latent is drawn from its prior; ``modality`` by default. With the same seed and source the
            new cells are the same, so that their modalities can be put together; without effect for one prior of all.
        batch
            Batch to decode in, for all cells.
        library_size
            What shares are multiplied by.
        seed
            Of the draws.

        Returns
        -------
        DataFrame of new cells, ``sample_0`` and on, by features, in the units of :meth:`get_normalized_expression`:
        expected values, without the noise of counting.

        Raises
        ------
        ValueError
            If a modality or batch is unknown, ``n`` is below 1, or the model was loaded without data.
        """
        reader = self._reader()
        request = Request.of(reader, modality, transform_batch=batch, library_size=library_size)
        return sample(reader, n, request.modality if source is None else reader.modality(source), request, seed)

    def get_outlier_score(
        self,
        adata: MuData | AnnData | None = None,
        indices: Sequence[int] | None = None,
        *,
        reference: MuData | AnnData | None = None,
        batch_size: int | None = None,
    ) -> np.ndarray:
        r"""Outlier score: rank of a cell's negative log prior density among the training cells, 0 to 1.

        The negative log prior density of a cell is :math:`-\sum_m \log p_m(z_m)` at the posterior means, over the
        modalities that it has. It is ranked among the training cells that have these modalities too, by the same
        modalities alone, so that what a cell lacks makes it neither more nor less of an outlier. Where fewer than 50 training cells have all of
        them, the cell gets the mean of its ranks by each. Labels of cells are not looked at.

        A training cell's score is uniform between 0 and 1 by construction: 0.99 is one in a hundred. New cells with
        many scores near 1 hold something that the training cells do not. The score is blind to what the encoders
        ignore, and so of little use where :meth:`get_modality_information` gives a few nats, and to modalities that are
        each in order but do not belong together. A cell of which the encoders make
        nothing lies in the middle of the latent, which is no unlikely place under priors ``"normal"`` and
        ``"conditional"``. Prior ``"mmvm"`` looks at the cell itself: there the score is about
        modalities that disagree.

        Parameters
        ----------
        adata
            Data other than the model's own.
        indices
            Cells, by number or as a mask; all by default.
        reference
            Data to compare with instead of training cells; needed after a query was mapped, when the training cells
            are the query's.
        batch_size
            Cells at a time.

        Returns
        -------
        Array ``(n_cells,)``, 0 to 1, high for outliers.

        Raises
        ------
        ValueError
            If the model has no data and ``reference`` is not given.
        """
        return outlier_scores(self._reader(), adata, indices, reference, batch_size)
