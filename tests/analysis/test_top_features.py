"""Features that stand out in a component."""

from __future__ import annotations

import numpy as np

from mmvae.analysis import top_features


def test_top_features_are_those_that_stand_out():
    rates = np.array([[0.6, 0.3, 0.1, 1e-9], [0.3, 0.3, 0.3, 1e-7], [0.1, 0.3, 0.5, 0.0]])
    found = top_features(rates, np.array([10.0, 10.0, 0.1]), list("abcd"), n_features=2, is_real=False)
    assert found == ["a", "c, d", ""]
    assert top_features(rates[:1], np.array([10.0]), list("abcd"), n_features=2, is_real=False) == [""]
