"""Discriminant analysis with calibrated probabilities."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score

from mmvae.analysis import DiscriminantAnalysis


def test_probabilities_mean_what_they_say():
    """On a problem of known probabilities, the stated confidence is the share of right answers."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 3, 3_000)
    values = rng.normal(size=(3_000, 8))
    values[np.arange(3_000), codes] += 1.2
    classifier = DiscriminantAnalysis.fit(values[:150], codes[:150], 3)
    soft = classifier.probabilities(values[150:])
    right = soft.argmax(axis=1) == codes[150:]
    assert soft.max(axis=1).mean() == pytest.approx(right.mean(), abs=0.04)
    assert f1_score(codes[150:], soft.argmax(axis=1), average="macro") > 0.6


def test_a_label_of_one_cell_does_no_harm():
    rng = np.random.default_rng(0)
    codes = np.r_[np.zeros(20, int), np.ones(20, int), 2]
    soft = DiscriminantAnalysis.fit(rng.normal(size=(41, 3)) + codes[:, None], codes, 4).probabilities(
        rng.normal(size=(5, 3))
    )
    assert soft.shape == (5, 4)
    assert np.isfinite(soft).all()
    assert soft[:, 3].max() < 0.2
