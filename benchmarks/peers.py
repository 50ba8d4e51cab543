"""mmvae and its peers on real data: what the embeddings keep, what they mix, and what a run costs.

``python -m benchmarks.peers --data FOLDER`` runs every method on every data set and task, one process at a time, and
updates ``docs/_static/peers.csv`` after each. Runs that the table has are skipped, so a suite that was stopped goes on
where it was; those that a smaller budget cut short are repeated, and with ``--again`` all are. A data set whose file is not there is skipped, and a method that is not
installed gives a row that says so.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pandas as pd

from . import table
from .data import DATA_SETS, data_folder

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "docs" / "_static" / "peers.csv"
# What is not in the lists below is imported by the runs alone: a process starts with its parent's peak memory as its
# own (Linux), so this one must need less than they do.
TASKS = ("complete", "mosaic30", "mosaic60", "batch")
MOSAICS = ("trimodal", "tcga")
ON_COMPLETE_TASK_ALONE = ("wnn", "scvi", "totalvi")
METHODS = ("mmvae", "pca", "wnn", "mofa", "scvi", "totalvi", "multivi", "multigrate")
UNSEEDED = ("pca", "wnn")
WITHOUT_BATCH = ("teaseq",)
ORDER = [*DATA_SETS, *TASKS, *METHODS]
# Loading, and all that a budget does not cut short, takes no longer than this.
GRACE_MINUTES = 20


class Run(NamedTuple):
    """What identifies a run in the table."""

    data: str
    task: str
    method: str
    seed: int


def main() -> None:
    """Run what was asked for."""
    arguments = _arguments()
    folder = arguments.data or data_folder()
    for data in arguments.sets:
        if not (folder / DATA_SETS[data].file).exists():
            print(f"{data}: skipped, no file {DATA_SETS[data].file}", flush=True)
    wanted = [run for run in _runs(arguments) if (folder / DATA_SETS[run.data].file).exists()]
    for number, run in enumerate(wanted, 1):
        if not arguments.again and tuple(run) in table.done(arguments.out, arguments.budget):
            continue
        rows = rows_of(folder, run, arguments.budget)
        table.update(arguments.out, rows, ORDER)
        print(f"{number}/{len(wanted)} {_summary(rows)}", flush=True)


def _runs(arguments: argparse.Namespace) -> list[Run]:
    """All runs that the choice of sets, tasks, methods and seeds allows."""
    runs = []
    for data in arguments.sets:
        for task in arguments.tasks:
            if task != "complete" and data in MOSAICS or task == "batch" and data in WITHOUT_BATCH:
                continue
            for method in arguments.methods:
                if task != "complete" and method in ON_COMPLETE_TASK_ALONE:
                    continue
                once = task == "complete" and method in UNSEEDED
                runs += [Run(data, task, method, seed) for seed in arguments.seeds[: 1 if once else None]]
    return runs


def rows_of(folder: Path, run: Run, budget: float | None) -> pd.DataFrame:
    """Rows of one run; a run that fails gives one row without a score, and its last words as the note."""
    # Two threads that share a core with other work are slower than one.
    environment = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"} | os.environ
    limit = None if budget is None else 60 * (budget + GRACE_MINUTES)
    with TemporaryDirectory() as temporary:
        result = Path(temporary) / "rows.jsonl"
        command = [sys.executable, "-W", "ignore", "-m", "benchmarks.run", folder, *run, budget or 0, result]
        try:
            done = subprocess.run(
                [*map(str, command)], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=limit
            )
        except subprocess.TimeoutExpired:
            return _failure(run, f"did not end within {limit / 60:.0f} minutes")
        if done.returncode == 0:
            return pd.read_json(result, lines=True).reindex(columns=table.COLUMNS)
    print(done.stderr, file=sys.stderr, flush=True)
    words = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
    return _failure(run, words[-1].replace(str(folder), "DATA").replace(str(ROOT), "."))


def _failure(run: Run, reason: str) -> pd.DataFrame:
    return pd.DataFrame([run._asdict() | {"note": table.FAILED + reason}]).reindex(columns=table.COLUMNS)


def _summary(rows: pd.DataFrame) -> str:
    """The run, its main scores, and the note."""
    first = rows.iloc[0]
    shown = rows[rows["metric"].isin(["bio", "transfer_f1", "foscttm"])]
    scores = [f"{row.readout} {row.metric} {row.value:.3f}" for row in shown.itertuples()]
    cost = [] if pd.isna(first["seconds"]) else [f"{first['seconds']:.0f} s"]
    note = [] if pd.isna(first["note"]) else [str(first["note"])]
    return ", ".join([" ".join(str(first[name]) for name in table.RUN), *scores, *cost, *note])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    add = parser.add_argument
    add("--data", type=Path, help="folder of the data sets; by default the environment variable MMVAE_DATA")
    add("--sets", type=_names(DATA_SETS), default=list(DATA_SETS), help="data sets, separated by commas")
    add("--tasks", type=_names(TASKS), default=list(TASKS), help="tasks, separated by commas")
    add("--methods", type=_names(METHODS), default=list(METHODS), help="methods, separated by commas")
    add("--seeds", type=_seeds, default=[0, 1, 2], help="of the methods and of the mosaics")
    add("--budget", type=float, help="minutes that the training of one run may take")
    add("--out", type=Path, default=TABLE, help="table to update")
    add("--again", action="store_true", help="run what the table has, too")
    return parser.parse_args()


def _names(known: dict[str, object] | tuple[str, ...]) -> object:
    def names(text: str) -> list[str]:
        chosen = text.split(",")
        if unknown := [name for name in chosen if name not in known]:
            msg = f"expected some of {list(known)}; got {unknown}"
            raise argparse.ArgumentTypeError(msg)
        return chosen

    return names


def _seeds(text: str) -> list[int]:
    return [int(seed) for seed in text.split(",")]


if __name__ == "__main__":
    main()
