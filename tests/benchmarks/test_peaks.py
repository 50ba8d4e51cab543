"""Simulated cells with many peaks: genes tell pairs of types apart, and peaks the two of a pair."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from benchmarks import table
from benchmarks.peaks import COLUMNS, DEPTH, RUN, TYPE, page, simulated


def profile(mdata, modality: str, types: tuple[int, ...]) -> np.ndarray:
    """Shares of features in cells of some types."""
    own = mdata[modality].X[mdata.obs[TYPE].isin([f"type{number}" for number in types]).to_numpy()]
    summed = np.asarray(own.sum(axis=0)).ravel()
    return summed / summed.sum()


def test_depths_do_not_hang_on_the_number_of_peaks():
    for n_peaks in (200, 5_000):
        mdata = simulated(n_peaks, 400)
        for name, depth in DEPTH.items():
            assert mdata[name].X.sum() / 400 == pytest.approx(depth, rel=0.1)


def test_genes_tell_pairs_apart_and_peaks_types():
    mdata = simulated(100, 4_000)
    for name, within in {"rna": 0.03, "atac": 0.05}.items():
        first, second, other = (profile(mdata, name, (number,)) for number in (0, 1, 2))
        # Half of the summed differences.
        near, far = (np.abs(first - one).sum() / 2 for one in (second, other))
        assert far > 0.15
        assert near < within if name == "rna" else 0.03 < near < 0.1


def test_a_line_of_the_page_is_of_all_seeds(tmp_path):
    values = {"bio": 0.5, "bio_peaks": 0.4, "bound": -10.0, "seconds": 30.0, "n_epochs": 10}
    rows = pd.DataFrame(
        [{"n_cells": 3_000, "n_peaks": 50_000, "within": 0.1, "n_sampled": 0, "seed": s} | values for s in (0, 1)]
    )
    table.update(tmp_path / "peaks.csv", rows, [], RUN, COLUMNS)
    text = page(table.read(tmp_path / "peaks.csv", COLUMNS))
    assert "| 3,000 | 50,000 | 0.1 | all | 2 | 0.500 ± 0.000 | 0.400 ± 0.000 | -10.0 ± 0.0 |" in text
