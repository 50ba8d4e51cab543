"""What each modality tells of a cell: C cells, M modalities, U fused dimensions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from mmvae._keys import EXPERTS, PRESENT, QZ, Z
from mmvae.data import numbers_of, presence_of
from mmvae.train import seeded

from ._generation import GenerationMixin
from ._views import views

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData
    from mudata import MuData
    from torch import Tensor

SCALE_CELLS = 2_000
SHIFT = "shift"


class ContributionMixin(GenerationMixin):
    """Contributions of modalities. Attention weights are no measure of them, see :class:`~mmvae.fusion.Attention`."""

    @torch.inference_mode()
    def get_modality_information(
        self,
        adata: MuData | AnnData | None = None,
        indices: Sequence[int] | None = None,
        *,
        batch_size: int | None = None,
    ) -> pd.DataFrame:
        r"""How much the model took from each modality of each cell, in nats: :math:`KL(q_m \| p_m)`.

        The divergence of the modality's own view of the cell from what its latent's prior expects: of the posterior of
        the modality's latent from its prior; where all modalities share a latent, of the view from that modality alone
        from the one prior; under a coupled prior, from the prior's marginal over the modality's dimensions. 0: the cell
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
        self._check_if_trained(warn=False)
        blocks = []
        for tensors in self._minibatches(adata, indices, batch_size):
            outputs = self._inferred(tensors)
            block = np.full((len(outputs[Z]), len(self.modalities)), np.nan)
            for view in views(self.module, tensors, outputs):
                block[view.rows.cpu().numpy(), self.modalities.index(view.name)] = view.information().cpu().numpy()
            blocks.append(block)
        return pd.DataFrame(
            np.concatenate(blocks), index=self._cell_names(adata, indices), columns=pd.Index(self.modalities)
        )

    @torch.inference_mode()
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
        self._check_if_trained(warn=False)
        data = self._validate_anndata(adata)
        cells = numbers_of(data, indices)
        presence = presence_of(data, self.modalities)[cells]
        columns = pd.MultiIndex.from_product([self.modalities, [SHIFT, *self.modalities]], names=["withheld", "change"])
        found = np.full((len(cells), len(self.modalities), 1 + len(self.modalities)), np.nan)
        scale = self._typical_distance(data)
        for index, name in enumerate(self.modalities):
            rows = np.flatnonzero(presence[:, index] & (presence.sum(axis=1) > 1))
            start = 0
            for tensors in self._minibatches(data, cells[rows], batch_size) if len(rows) else ():
                changes = self._changes(tensors, name)
                changes[:, 0] /= scale
                found[rows[start : start + len(changes)], index] = changes
                start += len(changes)
        return pd.DataFrame(found.reshape(len(cells), len(columns)), index=data.obs_names[cells], columns=columns)

    def _inferred(self, tensors: dict[str, Tensor]) -> dict[str, Any]:
        """What the encoders make of a minibatch."""
        return self.module.inference(**self.module._get_inference_input(tensors))

    def _changes(self, tensors: dict[str, Tensor], name: str) -> np.ndarray:
        """Distance in the fused latent, and change of each modality's log-likelihood, ``(n_cells, 1 + M)``."""
        outputs = self._inferred(tensors)
        without = self._inferred(self._withheld(tensors, name))
        before, after = (self._fused_mean(o) for o in (outputs, without))
        change = self._log_likelihoods(tensors, after) - self._log_likelihoods(tensors, before)
        change[~tensors[PRESENT]] = torch.nan
        distance = self._weighted(after - before).norm(dim=-1, keepdim=True)
        return torch.cat([distance, change], dim=1).cpu().double().numpy()

    def _fused_mean(self, outputs: dict[str, Any]) -> Tensor:
        return self.module.fusion.fuse(outputs[QZ].loc, outputs[EXPERTS])

    def _log_likelihoods(self, tensors: dict[str, Tensor], fused: Tensor) -> Tensor:
        """Of each modality given the fused latent, in nats, ``(n_cells, M)``; 0 where a cell lacks it."""
        # Likelihoods with latents of their own draw them: the same before and after.
        with seeded(0):
            emissions = self.module.generative(**self.module._get_generative_input(tensors, {Z: fused}))
        costs, own = self.module.reconstruction(tensors, emissions), self.module.emission_kl(tensors, emissions)
        total = [costs[name] + own.get(f"{name}_likelihood", 0.0) for name in self.modalities]
        return -torch.stack(total, dim=1)

    def _typical_distance(self, data: MuData | AnnData) -> float:
        """Mean distance in the fused latent between random cells, of the model's data where there are any."""
        data = data if self.adata is None else self.adata
        order = np.random.default_rng(0).permutation(data.n_obs)[:SCALE_CELLS]
        minibatches = self._minibatches(data, order, None)
        fused = torch.cat([self._weighted(self._fused_mean(self._inferred(tensors))) for tensors in minibatches])
        # Neighbours in a random order are random pairs.
        return float((fused - fused.roll(1, dims=0)).norm(dim=-1).mean())
