"""Decoded values on a scale on which changes add up, and the cells to average over. C cells, G features, U fused dimensions."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from mmvae.analysis import log_rates
from mmvae.data import some_of
from mmvae.fusion import Fusion
from mmvae.model._data import Data, Indices
from mmvae.model._reader import READOUT_BATCH, Reader
from mmvae.module import MultiVAEModule
from mmvae.nn import Covariates

MOST_VALUES = 2**22  # decoded at a time, of all cells and features together


def log_effects(module: MultiVAEModule, name: str, fused: Tensor, covariates: Covariates) -> Tensor:
    """Expected values as logarithms to base 2, or as they are where they may be negative, ``(C, G)``."""
    rates = module.rates(name, fused, covariates)
    return rates if module.likelihoods[name].values == "real" else log_rates(rates)


def fused_names(fusion: Fusion) -> list[str]:
    """A name for each dimension that the decoders read: its modality and number, or ``fused`` and its number."""
    parts = fusion.split(torch.zeros(1, fusion.n_output)) or {"fused": torch.zeros(1, fusion.n_output)}
    return [f"{name}_{d}" for name, part in parts.items() for d in range(part.shape[1])]


def cells_at_a_time(n_features: int) -> int:
    """Cells whose values of so many features are held at once."""
    return min(READOUT_BATCH, max(1, MOST_VALUES // n_features))


def some_cells(reader: Reader, adata: Data | None, indices: Indices | None, n_cells: int) -> np.ndarray:
    """Numbers of at most ``n_cells`` of the cells that ``indices`` names, ascending; always the same ones."""
    cells, _ = reader.cells(reader.data(adata), indices)
    return some_of(cells, n_cells)


def in_chunks(fused: Tensor, covariates: Covariates, n_features: int) -> Iterator[tuple[Tensor, Covariates]]:
    """Cells with their covariates, as many at a time as may be decoded at once."""
    for rows in torch.arange(len(fused), device=fused.device).split(cells_at_a_time(n_features)):
        yield fused[rows], covariates.take(rows)
