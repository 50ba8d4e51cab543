"""Reliability, agreement, weights and scale of latents."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mmvae.analysis import certain_share, modality_weights, split_half_reliability, told_by_neighbors, total_scale


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


def weights(reliability, certainty, agreement):
    """Weights of two or three modalities, by number."""
    return list(modality_weights(*(dict(enumerate(values)) for values in (reliability, certainty, agreement))).values())


def test_independent_modalities_weigh_as_they_are_reliable():
    assert weights([0.8, 0.2], [1, 1], [0.0, float("nan")]) == pytest.approx([1, 0.25])
    assert weights([0.8, 0.8], [1, 0.5], [0.0, 0.0]) == pytest.approx([1, 0.5])


def test_what_another_modality_tells_weighs_more_than_what_a_half_does():
    """The rule of the docstring, by hand: max(.25, .9) / .1 against max(.9 x .8, .5) / .5."""
    assert weights([0.25, 0.9], [1, 0.8], [0.9, 0.5]) == pytest.approx([1, 0.16])


def test_latents_without_any_information_weigh_alike():
    assert weights([0.01, 0.01], [0.0, 0.0], [0.0, float("nan")]) == [1, 1]


def test_a_copy_of_another_modality_is_not_all_that_counts():
    assert weights([1.0] * 3, [1.0] * 3, [1.0, 0.99, 0.0]) == pytest.approx([1, 1, 0.02])


def test_certain_is_the_share_of_the_means():
    means = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    assert certain_share(means, torch.full_like(means, 0.5)) == pytest.approx(0.5)
    assert certain_share(torch.zeros(3, 2), torch.zeros(3, 2)) == 1
