"""Modality dropout: C cells, M modalities."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor


def drop_modalities(present: Tensor, rate: float) -> Tensor:
    """Withhold modalities from the encoders in a random share of the cells that have several.

    Such a cell keeps a subset drawn uniformly from the proper, non-empty subsets of what it has. Without it, a model
    trained on complete cells may put what the modalities share in the latent of one of them, and fails on cells that
    have only the other.

    Parameters
    ----------
    present
        What each cell has, boolean, ``(n_cells, n_modalities)``.
    rate
        Share of the cells with two or more modalities that lose some.

    Returns
    -------
    What each cell keeps, boolean, ``(n_cells, n_modalities)``.
    """
    chosen = (torch.rand(len(present), device=present.device) < rate) & (present.sum(dim=1) > 1)
    kept = present.clone()
    if chosen.any():
        kept[chosen] = _proper_subset(present[chosen])
    return kept


def _proper_subset(present: Tensor) -> Tensor:
    subsets = _subsets(present.shape[1]).to(present.device)
    inside = ~(subsets[None] & ~present[:, None]).any(dim=2)
    smaller = subsets.sum(dim=1)[None] < present.sum(dim=1)[:, None]
    return subsets[torch.multinomial((inside & smaller).float(), 1).squeeze(1)]


def _subsets(n_modalities: int) -> Tensor:
    """Every non-empty subset of the modalities, boolean, ``(2**n_modalities - 1, n_modalities)``."""
    return torch.tensor([s for s in itertools.product((False, True), repeat=n_modalities) if any(s)])
