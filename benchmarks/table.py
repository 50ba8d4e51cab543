"""The table of all scores: one row for each run, readout and metric."""

from __future__ import annotations

from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from filelock import FileLock

if TYPE_CHECKING:
    from collections.abc import Callable

RUN = ["data", "task", "method", "seed"]
COSTS = ["seconds", "peak_memory_mb", "n_cells", "data_mb", "threads"]
COLUMNS = [*RUN, "readout", "metric", "value", *COSTS, "note", "versions"]
FAILED = "failed: "
BUDGET = r"by the budget of ([\d.]+) minutes"


def read(path: Path) -> pd.DataFrame:
    """The table, empty if there is none yet."""
    if not path.exists():
        return pd.DataFrame(columns=COLUMNS)
    return pd.read_csv(path).astype({"note": object, "metric": object, "readout": object})


def done(path: Path, budget: float | None) -> set[tuple[Any, ...]]:
    """Runs that the table has, other than those that failed or were cut short by a smaller budget than this one."""
    table = read(path)
    note = table["note"].fillna("").astype(str)
    spent = note.str.extract(BUDGET)[0].astype(float).fillna(np.inf)
    fine = table[~note.str.startswith(FAILED) & (spent >= (budget or np.inf))]
    return set(fine[RUN].itertuples(index=False, name=None))


def update(path: Path, rows: pd.DataFrame, order: list[str]) -> None:
    """Put the rows in place of earlier ones of the same run; a reader never sees half a file.

    Several runners may write to the same table.

    Parameters
    ----------
    path
        The table.
    rows
        Rows of one run or several.
    order
        Names of data sets, tasks and methods, in the order in which they should be.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    place = {name: i for i, name in enumerate(order)}
    with FileLock(Path(gettempdir()) / f"{path.stem}.lock"):
        old = read(path)
        same = pd.MultiIndex.from_frame(old[RUN]).isin(pd.MultiIndex.from_frame(rows[RUN]))
        kept = pd.DataFrame(old[~same].to_dict("records") + rows.to_dict("records"), columns=COLUMNS)
        kept = kept.sort_values(RUN, key=lambda column: column.map(lambda x: place.get(x, x)), kind="stable")
        temporary = path.with_suffix(".tmp")
        kept.round({"value": 5, "seconds": 1, "peak_memory_mb": 0, "data_mb": 1}).to_csv(temporary, index=False)
        temporary.replace(path)


def markdown(scores: pd.DataFrame, sets: list[str], methods: list[str], cell: Callable[[np.ndarray], str]) -> str:
    """Rows of methods by columns of data sets, those that have scores, with a mean where all sets have some.

    Parameters
    ----------
    scores
        Rows of one metric.
    sets, methods
        Names, in the order in which they are shown.
    cell
        Text for the values of one method on one set, a value for each seed; there may be none.
    """
    sets = [name for name in sets if name in set(scores["data"])]
    lines = ["| method | " + " | ".join([*sets, "mean"]) + " |", "| --- |" + " ---: |" * (len(sets) + 1)]
    for method in (name for name in methods if name in set(scores["method"])):
        own = scores[scores["method"] == method]
        found = [own.loc[own["data"] == name, "value"].to_numpy() for name in sets]
        complete = all(len(values) for values in found)
        mean = f"{np.mean([values.mean() for values in found]):.3f}" if complete else "–"
        lines.append("| " + " | ".join([method, *map(cell, found), mean]) + " |")
    return "\n".join(lines)
