"""Reliability, agreement, weights and scale of latents."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mmvae.analysis import modality_weights, split_half_reliability, told_by_neighbors, total_scale


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


@pytest.mark.parametrize("told", [0.0, 0.5, 0.9])
def test_neighbours_tell_the_share_that_is_common(told):
    """Of a source without noise the mean of a few neighbours misses what the target has to itself, and its noise."""
    rng = np.random.default_rng(0)
    source = rng.normal(size=(4_000, 2))
    target = np.sqrt(told) * source + np.sqrt(1 - told) * rng.normal(size=source.shape)
    assert told_by_neighbors(source, target) == pytest.approx(told, abs=0.03)


def test_a_target_that_does_not_vary_is_not_told():
    source = np.random.default_rng(0).normal(size=(100, 2))
    assert told_by_neighbors(source, np.full((100, 3), 0.7)) == 0
    assert np.isnan(told_by_neighbors(source[:49], source[:49]))


def test_independent_modalities_weigh_as_they_are_reliable():
    weights = modality_weights({"a": 0.8, "b": 0.2}, {"a": 0.0, "b": float("nan")})
    assert weights == pytest.approx({"a": 1, "b": 0.25})


def test_what_another_modality_tells_weighs_more_than_what_a_half_does():
    """The rule of the docstring, by hand: max(.25, .9) / .1 against max(.9, .5) / .5."""
    weights = modality_weights({"panel": 0.25, "rna": 0.9}, {"panel": 0.9, "rna": 0.5})
    assert weights == pytest.approx({"panel": 1, "rna": 0.2})


def test_a_copy_of_another_modality_is_not_all_that_counts():
    weights = modality_weights({"a": 1.0, "b": 1.0, "c": 1.0}, {"a": 1.0, "b": 0.99, "c": 0.0})
    assert weights == pytest.approx({"a": 1, "b": 1, "c": 0.02})
