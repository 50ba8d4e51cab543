"""Split-half reliability and scale of latents."""

from __future__ import annotations

import pytest
import torch

from mmvae.analysis import split_half_reliability, total_scale


def halves(noise: float, n_cells: int = 4_000) -> torch.Tensor:
    """Two noisy readings of the same latent, ``(2, n_cells, 5)``."""
    generator = torch.Generator().manual_seed(0)
    true = torch.randn(n_cells, 5, generator=generator, dtype=torch.float64)
    return true + noise * torch.randn(2, n_cells, 5, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("noise", [0.0, 0.5, 1.0])
def test_reliability_is_stepped_up_from_halves(noise):
    correlation = 1 / (1 + noise**2)
    expected = 2 * correlation / (1 + correlation)
    assert split_half_reliability(*halves(noise)) == pytest.approx(expected, abs=0.02)


def test_noise_has_the_least_reliability():
    first, second = torch.randn(2, 2_000, 5, generator=torch.Generator().manual_seed(0))
    assert split_half_reliability(first, second) < 0.05
    assert split_half_reliability(first, -first) == 0.01


@pytest.mark.parametrize("rounding", [0.0, 1e-7])
def test_a_latent_without_information_has_the_least_reliability(rounding):
    """The means do not depend on the cell, but for the rounding of single precision, the same in both halves."""
    same = 0.7 + rounding * torch.randn(500, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert split_half_reliability(same, same) == 0.01
    assert split_half_reliability(same, 1.5 * same) == 0.01


def test_scale_is_the_root_of_the_total_variance():
    drawn = torch.randn(20_000, 4, generator=torch.Generator().manual_seed(0))
    assert total_scale(drawn) == pytest.approx(2, rel=0.02)
    assert total_scale(torch.ones(10, 4)) == 1
    assert total_scale(torch.zeros(0, 4)) == 1
