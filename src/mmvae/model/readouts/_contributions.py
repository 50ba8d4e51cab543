"""What each modality tells of a cell: C cells, M modalities, U fused dimensions."""

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from mmvae.fusion import Posteriors
from mmvae.model._data import Data, DataAccess, Indices
from mmvae.model._reader import Reader
from mmvae.module import Inference, Minibatch, MultiVAEModule, Step, emission_kl, reconstruction
from mmvae.train import seeded

from ._posteriors import UnimodalPosterior, by_modality, fused_mean
from ._weights import weighted

SCALE_CELLS = 2_000


class ContributionMethods(DataAccess):
    """Contributions of modalities. Attention weights are no measure of them, see :class:`~mmvae.fusion.Attention`."""

    def get_modality_information(
        self, adata: Data | None = None, indices: Indices | None = None, *, batch_size: int | None = None
    ) -> pd.DataFrame:
        r"""How much the model took from each modality of each cell, in nats: :math:`KL(q_m \| p_m)`.

        The divergence of the posterior given that modality alone from the prior of its latent; under a coupled prior,
        from the prior's marginal over the modality's dimensions. 0: the cell could be any. What two modalities say
        counts in both. It does not depend on the scale of a latent. It is the cost that training charges, so under
        prior ``"mmvm"`` an upper bound on a divergence from where the other modalities put the cell, and under
        ``"labels"`` what is left once a labelled cell's label is known. Cells are named as in
        :meth:`get_latent_representation`.

        Returns
        -------
        DataFrame of cells by modalities, in nats; NaN where a cell lacks the modality. Where there is no closed form,
        the mean over 16 draws, always the same ones.
        """
        reader = Reader(self)
        self._fill_graphs(reader.data(adata))
        values = by_modality(reader, UnimodalPosterior.information, adata, indices, batch_size)
        return pd.DataFrame(values, index=reader.cell_names(adata, indices), columns=pd.Index(reader.names))

    @torch.inference_mode()
    def leave_one_out(
        self, adata: Data | None = None, indices: Indices | None = None, *, batch_size: int | None = None
    ) -> pd.DataFrame:
        """What changes in a cell when one of its modalities is withheld: nothing if the others can replace it.

        Cells are named as in :meth:`get_latent_representation`.

        Returns
        -------
        DataFrame of cells by pairs of columns, the withheld modality and what it changes:

        - ``shift``: the distance by which the fused latent's mean moves, relative to the mean distance between two
          random cells of the model's data. 1: as far as to any other cell;
        - ``<modality>``: the change of that modality's log-likelihood at the latent's mean, in nats. Negative: its data
          are less well explained; the withheld modality's are predicted from the others.

        NaN where it does not apply: the cell lacks the withheld modality or has no other, lacks the modality whose
        log-likelihood it is, or has the same fused latent as all others. Where a likelihood has latents of its own, a bound on the log-likelihood.
        """
        reader = Reader(self)
        scale = _typical_distance(reader, adata)
        blocks = [_changes(reader, *cells).cpu().double() for cells in reader.posteriors(adata, indices, batch_size)]
        found = torch.cat(blocks).numpy()
        found[:, :, 0] /= scale if scale > 0 else np.nan
        columns = pd.MultiIndex.from_product([reader.names, ["shift", *reader.names]], names=["withheld", "change"])
        index = reader.cell_names(adata, indices)
        return pd.DataFrame(found.reshape(len(found), len(columns)), index=index, columns=columns)


def _changes(reader: Reader, minibatch: Minibatch, posteriors: Posteriors) -> Tensor:
    """For each modality withheld, the shift and the change of each log-likelihood, ``(n_cells, M, 1 + M)``."""
    module, present, n_modalities = reader.module, minibatch.present, len(reader.names)
    before = fused_mean(module.fusion, posteriors)
    explained = _log_likelihoods(module, minibatch, posteriors, before)
    found = before.new_full((len(minibatch), n_modalities, 1 + n_modalities), torch.nan)
    for index in range(n_modalities):
        applies = present[:, index] & (present.sum(dim=1) > 1)
        kept = present.clone()
        kept[:, index] &= ~applies
        fewer = Posteriors.masked(posteriors.normals, kept)
        after = fused_mean(module.fusion, fewer)
        change = _log_likelihoods(module, minibatch, fewer, after) - explained
        distance = weighted(module.fusion, reader.model.memory, after - before).norm(dim=-1, keepdim=True)
        both = torch.cat([distance, torch.where(present, change, torch.nan)], dim=1)
        found[:, index] = torch.where(applies[:, None], both, torch.nan)
    return found


def _log_likelihoods(module: MultiVAEModule, minibatch: Minibatch, posteriors: Posteriors, fused: Tensor) -> Tensor:
    """Of each modality given the fused latent, in nats, ``(n_cells, M)``; 0 where a cell lacks it."""
    # Likelihoods with latents of their own draw them: the same before and after.
    with seeded(0):
        emissions = module.decode(fused, minibatch)
    step = Step(Inference(minibatch, posteriors, fused, fused, [], {}), emissions)
    costs, own = reconstruction(step), emission_kl(step)
    return -torch.stack([costs[name] + own.get(f"{name}_likelihood", 0.0) for name in module.names], dim=1)


def _typical_distance(reader: Reader, adata: Data | None) -> float:
    """Mean distance in the fused latent between random cells, of the model's data where there are any."""
    data = reader.data(adata if reader.model.adata is None else None)
    order = np.random.default_rng(0).permutation(data.n_obs)[:SCALE_CELLS]
    fusion = reader.module.fusion
    means = [fused_mean(fusion, posteriors) for _, posteriors in reader.posteriors(data, order)]
    fused = weighted(fusion, reader.model.memory, torch.cat(means))
    # Neighbours in a random order are random pairs.
    return float((fused - fused.roll(1, dims=0)).norm(dim=-1).mean())
