"""Outlier scores."""

from __future__ import annotations

import numpy as np
import pytest

from mmvae.analysis import outlier_share


def test_outliers_are_compared_by_what_they_have():
    rng = np.random.default_rng(0)
    reference = np.stack([rng.normal(size=400), 100 + rng.normal(size=400)], axis=1)
    reference[:100, 0] = np.nan
    cells = np.array([[0.0, np.nan], [5.0, np.nan], [0.0, 100.0], [5.0, 105.0], [np.nan, np.nan]])
    found = outlier_share(cells, reference)
    assert found[:4] == pytest.approx([0.5, 1.0, 0.5, 1.0], abs=0.07)
    assert np.isnan(found[4])


def test_a_pattern_that_no_reference_cell_has_is_ranked_by_each_modality():
    reference = np.full((200, 2), np.nan)
    reference[:100, 0] = reference[100:, 1] = np.arange(100.0)
    assert outlier_share(np.array([[49.5, 200.0]]), reference) == pytest.approx([0.75])


def test_a_modality_that_no_reference_cell_has_is_left_aside():
    reference = np.column_stack([np.arange(100.0), np.full(100, np.nan)])
    found = outlier_share(np.array([[49.5, 3.0], [np.nan, 3.0]]), reference)
    assert found[0] == pytest.approx(0.5)
    assert np.isnan(found[1])
