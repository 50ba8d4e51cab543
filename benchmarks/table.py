"""Tables of scores, as CSV files: peers, designs and tissue have one row for each run, readout and metric."""

from __future__ import annotations

from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from filelock import FileLock

if TYPE_CHECKING:
    from collections.abc import Sequence

RUN = ["data", "task", "method", "seed"]
COSTS = ["seconds", "peak_memory_mb", "n_cells", "data_mb", "threads"]
COLUMNS = [*RUN, "readout", "metric", "value", *COSTS, "note", "versions"]
TEXTS = {"note": object, "metric": object, "readout": object}
DIGITS = {"seconds": 1, "peak_memory_mb": 0, "data_mb": 1}
OTHER_DIGITS = 5
FAILED = "failed: "
BUDGET = r"by the budget of ([\d.]+) minutes"


def read(path: Path, columns: Sequence[str] = COLUMNS) -> pd.DataFrame:
    """The table, empty if there is none yet."""
    if not path.exists():
        return pd.DataFrame(columns=list(columns))
    found = pd.read_csv(path)
    return found.astype({name: kind for name, kind in TEXTS.items() if name in found})


def runs(table: pd.DataFrame, run: Sequence[str] = RUN) -> set[tuple[Any, ...]]:
    """Runs that the rows are of."""
    return set(table[list(run)].itertuples(index=False, name=None))


def done(path: Path, budget: float | None, run: Sequence[str] = RUN) -> set[tuple[Any, ...]]:
    """Runs that the table has, other than those that failed or were cut short by a smaller budget than this one."""
    table = read(path)
    note = table["note"].fillna("").astype(str)
    spent = note.str.extract(BUDGET)[0].astype(float).fillna(np.inf)
    return runs(table[~note.str.startswith(FAILED) & (spent >= (budget or np.inf))], run)


def update(
    path: Path, rows: pd.DataFrame, order: Sequence[str], run: Sequence[str] = RUN, columns: Sequence[str] = COLUMNS
) -> None:
    """Put the rows in place of earlier ones of the same run; a reader never sees half a file.

    Several runners may write to the same table.

    Parameters
    ----------
    path
        The table.
    rows
        Rows of one run or several.
    order
        Names of data sets, tasks and methods, in the order in which they should be; others follow by name.
    run, columns
        Columns that say which run a row is of, and all columns.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(Path(gettempdir()) / f"{path.stem}.lock"):
        old, run = read(path, columns), list(run)
        same = pd.MultiIndex.from_frame(old[run]).isin(pd.MultiIndex.from_frame(rows[run]))
        kept = pd.DataFrame(old[~same].to_dict("records") + rows.to_dict("records"), columns=list(columns))
        kept = kept.sort_values(run, key=lambda column: _places(column, order), kind="stable")
        temporary = path.with_suffix(".tmp")
        kept.round({name: DIGITS.get(name, OTHER_DIGITS) for name in columns}).to_csv(temporary, index=False)
        temporary.replace(path)


def _places(column: pd.Series, order: Sequence[str]) -> pd.Series:
    """Rank of each value, those in ``order`` first."""
    place = {name: i for i, name in enumerate(order)}
    ranked = sorted(set(column), key=lambda value: (place.get(value, len(place)), value))
    return column.map({value: rank for rank, value in enumerate(ranked)})
