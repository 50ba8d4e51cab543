"""mmvae and its peers on real data: what the embeddings keep, what they mix, and what a run costs.

``python -m benchmarks.peers --data FOLDER`` runs every method on every data set and task, one process at a time, and
updates ``docs/_static/peers.csv`` after each. Runs that the table has are skipped, so a suite that was stopped goes on
where it was; those that a smaller budget cut short are repeated, and with ``--again`` all are. A data set whose file is
not there is skipped, and a method that is not installed gives a row that says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

# Nothing that only the runs need: a process starts with its parent's peak memory as its own (Linux), so this one must
# need less than they do.
from benchmarks import table
from benchmarks.commands import listed, parser
from benchmarks.data import DATA_SETS, data_folder
from benchmarks.methods.registry import PEERS
from benchmarks.paths import STATIC
from benchmarks.tasks import COMPLETE, TASKS

from .launch import Run, rows_of

if TYPE_CHECKING:
    import argparse

MOSAICS = ("trimodal", "tcga")
ORDER = [*DATA_SETS, *TASKS, *PEERS]


def main() -> None:
    """Run what was asked for."""
    arguments = _arguments()
    folder = arguments.data or data_folder()
    for data in arguments.sets:
        if not (folder / DATA_SETS[data].file).exists():
            print(f"{data}: skipped, no file {DATA_SETS[data].file}", flush=True)
    wanted = [run for run in _runs(arguments) if (folder / DATA_SETS[run.data].file).exists()]
    for number, run in enumerate(wanted, 1):
        if not arguments.again and run in table.done(arguments.out, arguments.budget):
            continue
        rows = rows_of(folder, run, arguments.budget)
        table.update(arguments.out, rows, ORDER)
        print(f"{number}/{len(wanted)} {_summary(rows)}", flush=True)


def _runs(arguments: argparse.Namespace) -> list[Run]:
    """All runs that the choice of sets, tasks, methods and seeds allows."""
    runs = []
    for data in arguments.sets:
        for task in arguments.tasks:
            if (task != COMPLETE and data in MOSAICS) or (task == "batch" and DATA_SETS[data].batch is None):
                continue
            for method in (name for name in arguments.methods if task in PEERS[name].tasks):
                once = task == COMPLETE and not PEERS[method].seeded
                runs += [Run(data, task, method, seed) for seed in arguments.seeds[: 1 if once else None]]
    return runs


def _summary(rows: pd.DataFrame) -> str:
    """The run, its main scores, and the note."""
    first = rows.iloc[0]
    shown = rows[rows["metric"].isin(["bio", "transfer_f1", "foscttm"])]
    scores = [f"{row.readout} {row.metric} {row.value:.3f}" for row in shown.itertuples()]
    cost = [] if pd.isna(first["seconds"]) else [f"{first['seconds']:.0f} s"]
    note = [] if pd.isna(first["note"]) else [str(first["note"])]
    return ", ".join([" ".join(str(first[name]) for name in table.RUN), *scores, *cost, *note])


def _arguments() -> argparse.Namespace:
    made = parser("peers", __doc__, STATIC / "peers.csv")
    add = made.add_argument
    add("--sets", type=listed(known=DATA_SETS), default=list(DATA_SETS), help="data sets, separated by commas")
    add("--tasks", type=listed(known=TASKS), default=list(TASKS), help="tasks, separated by commas")
    add("--methods", type=listed(known=PEERS), default=list(PEERS), help="methods, separated by commas")
    add("--seeds", type=listed(int), default=[0, 1, 2], help="of the methods and of the mosaics")
    add("--budget", type=float, help="minutes that the training of one run may take")
    add("--again", action="store_true", help="run what the table has, too")
    return made.parse_args()


if __name__ == "__main__":
    main()
