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


def test_a_set_of_real_size_has_a_table_with_what_others_published_in_a_column_of_its_own():
    rows = [
        ("dlpfc", "partitions", "mmvae gmrf", 0, metric, value)
        for metric, value in [
            ("joint_mixture_ari:151673", 0.5),
            ("joint_mixture_ari:151674", 0.6),
            ("joint_mixture_ari", 0.55),
        ]
    ]
    found = page(pd.DataFrame(rows, columns=[*RUN, "metric", "value"]))
    assert "| mmvae gmrf | 0.500 | 0.600 | 0.550 | – | – | – | – |" in found
    assert "| graphst | – | – | – | – | – | – | 0.638 / 0.610 |" in found
    assert "starmap" not in found
