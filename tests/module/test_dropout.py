"""Modality dropout."""

from __future__ import annotations

import torch

from mmvae.module._multivae import ModalityDropout

PRESENT = torch.tensor([[1, 1, 1], [1, 1, 0], [1, 0, 0]], dtype=torch.bool).repeat(2000, 1)


def drop_modalities(present: torch.Tensor, rate: float) -> torch.Tensor:
    return ModalityDropout(present.shape[1], rate)(present)


def test_no_cell_loses_everything_or_gains_anything():
    kept = drop_modalities(PRESENT, 1.0)
    assert kept.any(dim=1).all()
    assert not (kept & ~PRESENT).any()


def test_cells_with_one_modality_keep_it():
    assert drop_modalities(PRESENT, 1.0)[2::3, 0].all()


def test_every_chosen_cell_loses_something():
    kept = drop_modalities(PRESENT, 1.0)
    assert (kept[0::3].sum(dim=1) < 3).all()
    assert (kept[1::3].sum(dim=1) == 1).all()


def test_proper_subsets_are_equally_likely():
    torch.manual_seed(0)
    kept = drop_modalities(PRESENT[0::3], 1.0)
    _, counts = kept.unique(dim=0, return_counts=True)
    assert len(counts) == 6
    assert (counts - len(kept) / 6).abs().max() < 5 * (len(kept) / 6) ** 0.5


def test_rate_is_the_share_of_cells_that_lose_something():
    torch.manual_seed(0)
    lost = (drop_modalities(PRESENT[1::3], 0.3).sum(dim=1) < 2).float().mean()
    assert abs(lost - 0.3) < 0.05


def test_rate_zero_drops_nothing():
    assert torch.equal(drop_modalities(PRESENT, 0.0), PRESENT)
