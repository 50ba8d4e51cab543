"""What each modality tells of a cell: C cells, M modalities, U fused dimensions."""

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from mmvae.fusion import Posteriors
from mmvae.model._reader import Data, Indices, Reader
from mmvae.module import Inference, Minibatch, MultiVAEModule, Step, emission_kl, reconstruction
from mmvae.train import seeded

from ._profiles import fused_mean
from ._reliability import weighted
from ._unimodal import UnimodalPosterior, by_modality

SCALE_CELLS = 2_000
SHIFT = "shift"


def modality_information(
    reader: Reader, adata: Data | None, indices: Indices | None, batch_size: int | None
) -> pd.DataFrame:
    """Divergence of each unimodal posterior from its prior, in nats, cells by modalities."""
    reader.fill_graphs(adata)
    values = by_modality(reader, UnimodalPosterior.information, adata, indices, batch_size)
    return pd.DataFrame(values, index=reader.cell_names(adata, indices), columns=pd.Index(reader.names))


@torch.inference_mode()
def leave_one_out(reader: Reader, adata: Data | None, indices: Indices | None, batch_size: int | None) -> pd.DataFrame:
    """What changes in a cell when one of its modalities is withheld, cells by pairs of columns."""
    scale = _typical_distance(reader, adata)
    blocks = [_changes(reader, *cells) for cells in reader.posteriors(adata, indices, batch_size)]
    found = torch.cat(blocks).cpu().double().numpy()
    found[:, :, 0] /= scale
    columns = pd.MultiIndex.from_product([reader.names, [SHIFT, *reader.names]], names=["withheld", "change"])
    return pd.DataFrame(
        found.reshape(len(found), len(columns)), index=reader.cell_names(adata, indices), columns=columns
    )


def _changes(reader: Reader, minibatch: Minibatch, posteriors: Posteriors) -> Tensor:
    """For each modality withheld, the distance in the fused latent and the change of each modality's log-likelihood.

    ``(n_cells, M, 1 + M)``; NaN where a cell lacks the withheld modality or has no other, or lacks the modality whose
    log-likelihood it is.
    """
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
        distance = weighted(module.fusion, reader.memory, after - before).norm(dim=-1, keepdim=True)
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
    data = reader.own_data() if reader.has_data else reader.data(adata)
    order = np.random.default_rng(0).permutation(data.n_obs)[:SCALE_CELLS]
    fusion = reader.module.fusion
    fused = torch.cat(
        [
            weighted(fusion, reader.memory, fused_mean(fusion, posteriors))
            for _, posteriors in reader.posteriors(data, order)
        ]
    )
    # Neighbours in a random order are random pairs.
    return float((fused - fused.roll(1, dims=0)).norm(dim=-1).mean())
