"""Answers want more than noise."""

from __future__ import annotations

import numpy as np

from benchmarks.ablation._verdicts import verdict


def test_verdicts_want_an_interval_without_zero():
    assert verdict(np.array([1.0, 1.1, 0.9]), 1) == "yes"
    assert verdict(np.array([1.0, 1.1, 0.9]), -1) == "no, worse"
    assert verdict(np.array([1.0, -1.1, 0.9]), 1) == "within noise"
    assert verdict(np.array([1.0]), 1) == "one seed"
