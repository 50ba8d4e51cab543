"""The tables of regions show what was run."""

from __future__ import annotations

import pandas as pd

from benchmarks.spatial._page import page
from benchmarks.table import RUN


def test_the_page_shows_mean_and_spread_and_no_mean_of_what_was_not_run():
    rows = [
        (data, "domains", method, seed, "nmi", value)
        for data, method, seed, value in [
            ("her2st", "pca", 0, 0.5),
            ("mob", "pca", 0, 0.7),
            ("her2st", "mmvae gmrf", 0, 0.6),
            ("her2st", "mmvae gmrf", 1, 0.8),
        ]
    ]
    found = page(pd.DataFrame(rows, columns=[*RUN, "metric", "value"]))
    assert "| pca | 0.500 | 0.700 | 0.600 |" in found
    assert "| mmvae gmrf | 0.700 ± 0.141 | – | – |" in found
