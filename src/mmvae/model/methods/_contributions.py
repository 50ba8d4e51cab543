"""What each modality tells of a cell."""

from collections.abc import Sequence

import pandas as pd
from anndata import AnnData
from mudata import MuData

from mmvae.model.readouts import leave_one_out, modality_information

from ._base import Readouts


class ContributionMethods(Readouts):
    """Contributions of modalities. Attention weights are no measure of them, see :class:`~mmvae.fusion.Attention`."""

    def get_modality_information(
        self,
        adata: MuData | AnnData | None = None,
        indices: Sequence[int] | None = None,
        *,
        batch_size: int | None = None,
    ) -> pd.DataFrame:
        r"""How much the model took from each modality of each cell, in nats: :math:`KL(q_m \| p_m)`.

        The divergence of the posterior from that modality alone from the prior: of the posterior of the modality's
        latent from its prior; where all modalities share a latent, of the posterior given that modality alone from the
        one prior; under a coupled prior, from the prior's marginal over the modality's dimensions. 0: the cell
        could be any. Modalities need not be exclusive: what two of them say counts in both. It does not depend on the
        scale of a latent. It is the cost that training charges, so under prior ``"mmvm"`` an upper bound on a
        divergence from where the other modalities put the cell, and under ``"labels"`` what is left once a labelled
        cell's label is known.

        Parameters
        ----------
        adata
            Data other than the model's own.
        indices
            Cells, by number or as a mask; all by default.
        batch_size
            Cells at a time.

        Returns
        -------
        DataFrame of cells by modalities, in nats; NaN where a cell lacks the modality. Where there is no closed form,
        the mean over 16 draws, always the same ones.
        """
        return modality_information(self._reader(), adata, indices, batch_size)

    def leave_one_out(
        self,
        adata: MuData | AnnData | None = None,
        indices: Sequence[int] | None = None,
        *,
        batch_size: int | None = None,
    ) -> pd.DataFrame:
        """What changes in a cell when one of its modalities is withheld.

        A modality that matters moves the cell, and the others explain its data less well without it. A modality that
        the others can replace does neither.

        Parameters
        ----------
        adata
            Data other than the model's own.
        indices
            Cells, by number or as a mask; all by default.
        batch_size
            Cells at a time.

        Returns
        -------
        DataFrame of cells by pairs of columns, the withheld modality and what it changes:

        - ``shift``: the distance by which the fused latent's mean moves, relative to the mean distance between two
          random cells of the model's data. 1: as far as to any other cell;
        - ``<modality>``: the change of that modality's log-likelihood at the latent's mean, in nats. Negative: its data
          are less well explained. For the withheld modality, how much worse it is predicted from the others than
          reconstructed.

        NaN where it does not apply: the cell lacks the withheld modality or has no other, or lacks the modality whose
        log-likelihood it is. Where a likelihood has latents of its own, a bound on the log-likelihood.
        """
        return leave_one_out(self._reader(), adata, indices, batch_size)
