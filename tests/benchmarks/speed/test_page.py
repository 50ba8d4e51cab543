"""The page shows medians and ranges of one machine, whoever is faster."""

from __future__ import annotations

import pandas as pd
import pytest

from benchmarks.speed._jobs import Job, Measured
from benchmarks.speed._methods import MULTIVI, OURS, SAMPLED
from benchmarks.speed._page import page, slope
from benchmarks.speed._rows import COLUMNS, read, rows_of, write

MACHINE = {"processor": "a card", "threads": 2, "versions": "torch 2"}
RUN = {"device": "cpu", "n_cells": 3_000, "n_features": 9, "batch_size": 128, "round": 0}


def rows(*found, **common):
    return pd.DataFrame([RUN | MACHINE | common | one for one in found], columns=COLUMNS)


def lines_of(text):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]


def test_a_row_has_the_median_the_range_and_the_peer_over_it():
    values = {OURS: (2.0, 1.0, 4.0), MULTIVI: (1.0, 1.0, 1.0)}
    table = rows(
        *({"method": m, "round": n, "value": v} for m, own in values.items() for n, v in enumerate(own)),
        part="equal",
        data="snareseq",
        metric="epoch",
    )
    text = page(table)
    assert text.startswith("**a card**, 2 threads, torch 2:")
    assert lines_of(text)[2:] == [
        ["snareseq", "3,000", "128", OURS, "3", "2.00 (1.00 to 4.00)", "0.50"],
        ["snareseq", "3,000", "128", MULTIVI, "3", "1.00 (1.00 to 1.00)", "1.00"],
    ]


def test_machines_and_sizes_are_not_mixed():
    same = {"method": OURS, "part": "equal", "data": "snareseq", "metric": "epoch"}
    other = {"processor": "another"}
    text = page(rows({"value": 1.0}, {"value": 2.0, "n_cells": 500}, {"value": 3.0} | other, **same))
    assert "**another**" in text
    assert [line[-2:] for line in lines_of(text) if line[0] == "snareseq"] == [
        ["1.00", "–"],
        ["2.00", "–"],
        ["3.00", "–"],
    ]


def test_defaults_and_memory_have_tables_without_a_batch_size():
    common = {"method": OURS, "data": "teaseq", "batch_size": 0}
    text = page(
        rows(
            {"part": "default", "metric": "train", "value": 12.3},
            {"part": "default", "metric": "bio", "value": 0.61234},
            {"part": "memory", "metric": "host_mb", "value": 1234.5},
            {"part": "memory", "metric": "growth_mb", "value": -0.2},
            **common,
        )
    )
    found = [line for line in lines_of(text) if line[0] == "teaseq"]
    assert found == [
        ["teaseq", "3,000", OURS, "1", "12", "–", "0.612"],
        ["teaseq", "3,000", OURS, "1", "1,234", "0"],
    ]


def test_growth_is_the_slope_over_sizes():
    sizes = (100, 200, 400, 800)
    cells = [{"data": "cells", "n_cells": n, "value": n / 100, "method": OURS} for n in sizes]
    peaks = [{"data": "peaks", "n_features": 2_000 + n, "value": n**0.5, "method": SAMPLED} for n in sizes]
    found = [line[-1] for line in lines_of(page(rows(*cells, *peaks, part="growth", metric="epoch")))[2:]]
    assert found == ["1.00", "0.50"]


def test_no_slope_is_given_of_fewer_than_four_sizes():
    assert slope(pd.Series([1.0, 2.0, 4.0], index=[1, 2, 4])) is None
    assert slope(pd.Series([1.0, 2.0, 4.0, 8.0], index=[1, 2, 4, 8])) == pytest.approx(1)


def test_a_run_replaces_itself_metric_by_metric(tmp_path):
    path = tmp_path / "speed.csv"
    job = Job("equal", "snareseq", OURS, 128, 0, lambda: None)
    write(path, rows_of(job, Measured(10, 20, {"epoch": 1.0, "latent": 2.0}), "cpu"))
    write(path, rows_of(job, Measured(10, 20, {"latent": 3.0}), "cpu"))
    write(path, rows_of(job, Measured(11, 20, {"latent": 4.0}), "cpu"))
    table = read(path)
    assert list(table.columns) == COLUMNS
    assert sorted(zip(table["n_cells"], table["metric"], table["value"], strict=True)) == [
        (10, "epoch", 1.0),
        (10, "latent", 3.0),
        (11, "latent", 4.0),
    ]
    assert set(table["threads"]) == {1}
