"""Tables of scores keep the last rows of each run, in order."""

from __future__ import annotations

import pandas as pd
import pytest

from benchmarks import table

RUN, COLUMNS = ["data", "arm", "seed"], ["data", "arm", "seed", "metric", "value"]


def test_rows_of_a_run_take_the_place_of_earlier_ones(tmp_path):
    path = tmp_path / "table.csv"
    for rows in (["sim", "A0", 0, "elbo", 1.0], ["sim", "A1", 0, "elbo", 2.0]), (["sim", "A0", 0, "elbo", 3.0],):
        table.update(path, pd.DataFrame(rows, columns=COLUMNS), [], RUN, COLUMNS)
    assert pd.read_csv(path).set_index("arm")["value"].to_dict() == {"A0": 3.0, "A1": 2.0}
    assert table.runs(table.read(path, COLUMNS), RUN) == {("sim", "A0", 0), ("sim", "A1", 0)}


def test_rows_are_in_the_order_given_and_others_follow_by_name(tmp_path):
    path = tmp_path / "table.csv"
    names = ["new", "tcga", "other", "teaseq"]
    rows = pd.DataFrame({"data": names, "task": "complete", "method": "pca", "seed": 0, "metric": "bio", "value": 0.5})
    table.update(path, rows, ["teaseq", "tcga"])
    assert list(pd.read_csv(path)["data"]) == ["teaseq", "tcga", "new", "other"]


@pytest.mark.parametrize(
    ("note", "budget", "is_done"),
    [
        ("", None, True),
        ("failed: of memory", None, False),
        ("stopped at 9 of 20 epochs by the budget of 4 minutes", 4, True),
        ("stopped at 9 of 20 epochs by the budget of 4 minutes", 8, False),
        ("stopped at 9 of 20 epochs by the budget of 4 minutes", None, False),
    ],
)
def test_a_run_that_failed_or_had_less_time_is_not_done(tmp_path, note, budget, is_done):
    path = tmp_path / "table.csv"
    run = {"data": "teaseq", "task": "complete", "method": "mmvae", "seed": 0}
    table.update(path, pd.DataFrame([run | {"metric": "bio", "value": 0.5, "note": note}]), [])
    assert (tuple(run.values()) in table.done(path, budget)) == is_done
