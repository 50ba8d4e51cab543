"""Clusters at the true number of regions, on sections whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.spatial._partitions import partition_scores
from benchmarks.spatial._tissues import SECTION


@pytest.fixture
def truth(sections) -> np.ndarray:
    noise = np.random.default_rng(0).normal(size=(sections.n_obs, 1))
    return (sections.obs["region"] == "right").to_numpy(dtype=float)[:, None] * 10 + noise


def test_the_truth_scores_1_in_each_section_and_noise_does_not(sections, truth):
    scores = partition_scores(truth, sections, 0)
    assert {key: value for key, value in scores.items() if value < 0.99} == {}
    assert scores["joint_mixture_ari"] == np.mean([scores[f"joint_mixture_ari:{name}"] for name in "ab"])
    noise = np.random.default_rng(1).normal(size=(sections.n_obs, 2))
    assert max(partition_scores(noise, sections, 0).values()) < 0.2


def test_sections_that_share_no_place_are_clustered_by_themselves_alone(sections, truth):
    truth[(sections.obs[SECTION] == "b").to_numpy()] *= -1
    scores = partition_scores(truth, sections, 0, together=False)
    assert scores["each_mixture_ari"] > 0.99
    assert not any(name.startswith("joint") for name in scores)
