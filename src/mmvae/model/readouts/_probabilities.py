"""Probabilities that the decoders tell: that a region is open, that a protein is no background. C cells, G_m features."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from torch import Tensor

from mmvae._checks import SHARE, check_numbers
from mmvae.likelihoods import Likelihood
from mmvae.model._data import Data, DataAccess, Indices
from mmvae.model._reader import Reader

from ._decoding import Read, Request, Values, decoded, drawn_cells, gathered
from ._regions import region_faults, region_modality


class ProbabilityMethods(DataAccess):
    """What the decoders say of cells, as probabilities."""

    def get_normalized_accessibility(
        self,
        adata: Data | None = None,
        indices: Indices | None = None,
        n_samples_overall: int | None = None,
        region_list: Sequence[str] | None = None,
        transform_batch: Any = None,
        use_z_mean: bool = True,
        threshold: float | None = None,
        normalize_cells: bool = False,
        normalize_regions: bool = False,
        batch_size: int = 128,
        return_numpy: bool = False,
        *,
        modality: str | None = None,
    ) -> Values:
        """Probability that a region is open: that a cell has a fragment in it, at median depth.

        Decoded from everything that a cell has; cells that lack the modality get a prediction. It is the probability of a
        count above 0 under the modality's likelihood, for any that has counts.

        Parameters
        ----------
        adata, indices, batch_size
            As in :meth:`get_latent_representation`.
        n_samples_overall
            Return those of so many random cells, drawn with replacement.
        region_list
            Regions to return, by name; all by default.
        transform_batch
            As in :meth:`get_normalized_expression`.
        use_z_mean
            Whether to decode the posterior's mean, or a sample of it.
        threshold
            Set probabilities below it to 0, and return a sparse result.
        normalize_cells
            Whether to give the probability at each cell's own depth, where it was measured. scvi-tools' name: what is
            normalised is undone.
        normalize_regions
            Takes ``False`` alone: no factors of regions are learned.
        return_numpy
            Whether to return an array, or a sparse matrix, in place of a frame.
        modality
            Which modality; by default the one of chromatin accessibility, by its features' kind or its name, or where there
            is none, the one with likelihood ``poisson`` or ``bernoulli``.

        Returns
        -------
        DataFrame of cells by regions, probabilities between 0 and 1.
        """
        reader = Reader(self)
        data = reader.data(adata)
        name = region_modality(reader, data, modality)
        faults = region_faults(reader, name)
        if normalize_regions:
            faults.append("Expected normalize_regions=False, as no factors of regions are learned; got True.")
        check_numbers({"threshold": SHARE}, faults, threshold=threshold)
        request = Request(reader, name, region_list, transform_batch, return_mean=use_z_mean)
        cells = drawn_cells(reader.cells(data, indices)[0], n_samples_overall)
        names = data.obs_names[cells]
        blocks = decoded(reader, reader.minibatches(data, cells, batch_size), request, _detection(normalize_cells))
        if not threshold:
            return gathered(blocks, names, request, return_numpy=return_numpy)
        found = _thresholded((block[name] for block in blocks), threshold)
        sparse: Any = pd.DataFrame.sparse
        return found if return_numpy else sparse.from_spmatrix(found, names, request.features[name])

    get_accessibility_estimates = get_normalized_accessibility

    def get_protein_foreground_probability(
        self,
        adata: Data | None = None,
        indices: Indices | None = None,
        transform_batch: Any = None,
        protein_list: Sequence[str] | None = None,
        n_samples: int = 1,
        batch_size: int | None = None,
        return_mean: bool = True,
        return_numpy: bool | None = None,
        silent: bool = True,
        *,
        modality: str | None = None,
    ) -> Values:
        r"""Probability that a protein's counts are no background.

        Takes a modality with likelihood ``nb_mixture``, which tells foreground from background; the others have none. It is
        the share of foreground that the decoder expects of a cell, :math:`1 - \pi` of totalVI :cite:p:`Gayoso2021`; the
        count itself is looked at by the encoder alone. Cells that lack the modality get a prediction.

        Parameters
        ----------
        adata, indices, transform_batch, n_samples, batch_size, return_mean, return_numpy, silent
            As in :meth:`get_normalized_expression`.
        protein_list
            Proteins to return, by name; all by default.
        modality
            Which modality; by default the one with likelihood ``nb_mixture``.

        Returns
        -------
        DataFrame of cells by proteins, or as :meth:`get_normalized_expression` says.
        """
        reader = Reader(self)
        name = _with_background(reader, modality)
        request = Request(reader, name, protein_list, transform_batch, n_samples=n_samples, return_mean=return_mean)
        minibatches = reader.minibatches(adata, indices, batch_size, silent=silent)
        blocks = decoded(reader, minibatches, request, _foreground)
        return gathered(blocks, reader.cell_names(adata, indices), request, return_numpy=bool(return_numpy))


def _detection(at_own_depth: bool) -> Read:
    def read(likelihood: Likelihood, hidden: Tensor, depth: Tensor, batch: Tensor) -> Tensor:
        at = depth if at_own_depth else likelihood.size_factor.expand_as(depth)
        return likelihood.detection(hidden, at, batch)

    return read


def _foreground(likelihood: Likelihood, hidden: Tensor, depth: Tensor, batch: Tensor) -> Tensor:
    return likelihood.foreground_probability(hidden)


def _thresholded(blocks: Iterable[np.ndarray], threshold: float) -> sp.csr_matrix:
    return sp.vstack([sp.csr_matrix(np.where(block < threshold, 0, block)) for block in blocks], format="csr")


def _with_background(reader: Reader, modality: str | None) -> str:
    """The modality whose likelihood has a background, unless one is named."""
    likelihoods = {name: reader.module.likelihoods[name] for name in reader.names}
    having = [name for name, likelihood in likelihoods.items() if likelihood.has_background]
    name = having[0] if modality is None and len(having) == 1 else modality
    if name is None or reader.modality(name) not in having:
        found = {name: likelihood.name for name, likelihood in likelihoods.items()}
        msg = (
            "Expected a modality whose likelihood tells foreground from background, as 'nb_mixture' does; got "
            f"{modality!r} of {found}. Give modality, or likelihoods={{'protein': 'nb_mixture'}} in setup_mudata."
        )
        raise ValueError(msg)
    return name
