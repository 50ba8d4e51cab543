"""Latents in space."""

import pandas as pd
from anndata import AnnData
from mudata import MuData

from mmvae.model.readouts import spatial_spectrum

from ._base import Readouts


class SpaceMethods(Readouts):
    """What priors of neighbouring cells have learnt."""

    def spatial_spectrum(self, adata: MuData | AnnData | None = None) -> pd.DataFrame:
        r"""Which dimensions of the latents are smooth in space, by what their prior ``gmrf`` learnt.

        Parameters
        ----------
        adata
            Data with a graph of neighbours; the model's own by default. Precision and smoothness do not depend on them.

        Returns
        -------
        DataFrame with a row for each dimension of each latent with that prior, the smoothest first. Columns: ``latent``;
        ``dimension``, its place in ``get_latent_representation(representation=latent)``, from 0; ``precision`` and
        ``smoothness``, the prior's :math:`\kappa` and :math:`\tau` (:class:`~mmvae.priors.GaussianMarkovField`);
        ``neighbor_correlation``, that of two neighbours under the prior, near 0 where space plays no part; and ``morans_i``,
        the same of the cells' posterior means :cite:p:`Moran1950`.

        Raises
        ------
        RuntimeError
            If the model is not trained.
        ValueError
            If no latent has that prior, or the data have no graph.
        """
        return spatial_spectrum(self._reader(), adata)
