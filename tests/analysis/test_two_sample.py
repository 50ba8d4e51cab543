"""Classifier two-sample test."""

from __future__ import annotations

import numpy as np
import pytest

from mmvae.analysis import two_sample_auc, verdict


def test_auc_is_a_half_for_the_same_and_near_one_for_another_place():
    rng = np.random.default_rng(0)
    one, same = rng.normal(size=(2, 600, 6))
    assert two_sample_auc(one, same) == pytest.approx(0.5, abs=0.06)
    assert two_sample_auc(one, same + 2.0) > 0.99


@pytest.mark.parametrize("change", ["correlation", "clusters"])
def test_auc_sees_more_than_places(change):
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(2, 600, 6))
    if change == "correlation":
        other[:, 3:] = 0.8 * other[:, :3] + 0.6 * other[:, 3:]
    else:
        centres = 2 * rng.normal(size=(5, 6))
        other = centres[rng.integers(5, size=600)] + 0.5 * other
        one = rng.multivariate_normal(other.mean(axis=0), np.cov(other.T), size=600)
    assert two_sample_auc(one, other) > 0.75


def test_verdicts_follow_the_thresholds():
    words = [verdict(auc, joint=False).split(":")[0] for auc in (0.4, 0.59, 0.61, 0.74, 0.76, np.nan)]
    assert words == ["close", "close", "roughly", "roughly", "differs", "not tested"]


def test_few_draws_are_not_tested():
    rng = np.random.default_rng(0)
    auc = two_sample_auc(rng.normal(size=(49, 2)), rng.normal(size=(200, 2)))
    assert np.isnan(auc)
    assert verdict(auc, joint=True).startswith("not tested")
