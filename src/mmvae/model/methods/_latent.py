"""Latent representations."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from torch import Tensor

from mmvae._checks import COUNT, check_numbers
from mmvae._keys import FUSED, SHARED
from mmvae.model.readouts import (
    LatentRequest,
    check_representation,
    latent_representation,
    shared_representation,
    shared_subspace,
)

from ._base import Readouts


class LatentMethods(Readouts):
    """Where cells lie in the latents."""

    def get_latent_representation(
        self,
        adata: MuData | AnnData | None = None,
        indices: Sequence[int] | None = None,
        give_mean: bool = True,
        mc_samples: int = 1,
        batch_size: int | None = None,
        return_dist: bool = False,
        dataloader: Iterator[dict[str, Tensor]] | None = None,
        *,
        representation: str = FUSED,
        **data_loader_kwargs: Any,
    ) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """Latent representation of cells, whatever they have.

        Parameters
        ----------
        adata
            Data other than the model's own. They may lack modalities.
        indices
            Cells, by number or as a mask; all by default.
        give_mean
            Whether to return the posterior mean; else the mean of ``mc_samples`` samples.
        mc_samples
            Number of samples where ``give_mean`` is ``False``.
        batch_size
            Cells at a time.
        return_dist
            Whether to return the mean and the variance of the posterior. Where it is no Gaussian, under fusion
            ``"attention"`` and for imputed latents, the variance is that of 64 draws.
        dataloader
            Minibatches to use in place of ``adata``.
        representation
            ``"fused"``: the latents of all modalities, that of a modality which a cell lacks predicted from the others.
            Each is scaled so that its draws have a total variance of 1 over the training cells that have it, and multiplied
            by its :meth:`get_reliability`, so that a modality which is mostly noise moves cells less; a joint latent has
            no parts and is left as it is. ``"unweighted"``: without that, as the decoders read it.
            ``"shared"``: what the modalities agree on (see below). The name of a modality: that modality's own latent,
            predicted where a cell lacks it.
        **data_loader_kwargs
            Passed to the loader.

        Returns
        -------
        Array of shape ``(n_cells, n_dimensions)``, in the order of ``indices`` or of the data; with ``return_dist``
        the means and variances.

        Notes
        -----
        ``"shared"`` is a generalised canonical correlation analysis of the modalities' latents over the training
        cells that have several, fitted on first use and saved with the model. It needs such cells, and compares them
        within batches: what batches differ in is no agreement. It has a dimension for each correlation that chance does
        not explain (see :meth:`get_shared_spectrum`), wider the more the modalities agree on it. Where there is
        none, it holds the two that are nearest to it, with a warning. ``"fused"`` is the
        default, for mosaics too, because cell types lie further apart in it; ``benchmarks/peers`` scores both.

        Warns
        -----
        UserWarning
            If ``"shared"`` is asked for and the modalities agree on nothing beyond chance.
        """
        check_numbers({"mc_samples": COUNT}, mc_samples=mc_samples)
        reader = self._reader()
        check_representation(reader, representation)
        cells = reader.posteriors(adata, indices, batch_size, dataloader, **data_loader_kwargs)
        if representation != SHARED:
            n_samples = 0 if give_mean or return_dist else mc_samples
            return latent_representation(reader, cells, LatentRequest(representation, n_samples, return_dist))
        if return_dist:
            msg = "Expected return_dist=False for representation 'shared', which has no posterior; got True."
            raise ValueError(msg)
        return shared_representation(reader, cells)

    def get_shared_spectrum(self) -> np.ndarray:
        r"""Eigenvalues of the correlation matrix of the modalities' latents, largest first, ``(n_dimensions,)``.

        Where all M modalities correlate by :math:`\rho`, that is an eigenvalue of :math:`1 + (M - 1) \rho`; with two
        modalities it is 1 plus a canonical correlation. Eigenvalues above ``model.memory.shared["threshold"]`` are
        dimensions of ``"shared"``: the largest one exceeds it in about one of a hundred trainings where modalities are
        independent, as permuted cells show. Modalities are correlated within batches and missing patterns. In a mosaic
        the correlations of a pair of modalities count by the root of the number of cells that have both, relative to the
        pair with the most, so that chance is the same for all pairs; those of rare pairs are larger than they seem here.
        """
        return shared_subspace(self._reader()).spectrum

    def get_reliability(self) -> pd.Series:
        r"""Split-half reliability of each modality's latent: whether the halves of its features tell the same.

        As in psychometrics :cite:p:`Spearman1910`. Of the latent's means a and b, each from a
        random half of the features, summed over dimensions, and stepped up from half the features to all,

        .. math:: h_m = \frac{\sum_d \operatorname{cov}(a_d, b_d)}{\sum_d \frac{1}{2}(\operatorname{var} a_d
            + \operatorname{var} b_d)}, \qquad r_m = \frac{2 h_m}{1 + h_m}

        Near 1: the features tell the same. Near 0: what the latent holds is the noise of single features, or each
        feature tells something of its own, as in a panel of very few. It needs no labels, nor cells with several
        modalities. It depends on ``input_dropout``, which teaches an encoder to do with some of the features: compare
        models that have the same. ``get_latent_representation`` weighs the modalities of ``"fused"`` by it.

        Returns
        -------
        Reliability by modality, between 0.01 and 1, over the training cells, at most 10,000 of them; 0.01 for a modality
        whose latent is the same for all cells, as where all its values are, and 1 for one of a single feature or
        without training cells.

        Raises
        ------
        RuntimeError
            If the model is not trained, or its reliability was not measured because training did not end well.
        """
        memory = self._reader().memory
        if memory.reliability is None:
            msg = "Expected a model whose training has come to its end; got none. Call train."
            raise RuntimeError(msg)
        return pd.Series(memory.reliability, name="reliability")
