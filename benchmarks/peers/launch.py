"""Runs of methods, each in a process of its own, as rows of the table of scores."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pandas as pd

from benchmarks import table
from benchmarks.commands import run_alone
from benchmarks.paths import ROOT

# Loading, and all that a budget does not cut short, takes no longer than this.
GRACE_MINUTES = 20


class Run(NamedTuple):
    """What identifies a run in the table."""

    data: str
    task: str
    method: str
    seed: int


def rows_of(folder: Path, run: Run, budget: float | None) -> pd.DataFrame:
    """Rows of one run; a run that fails gives one row without a score, and its last words as the note."""
    limit = None if budget is None else 60 * (budget + GRACE_MINUTES)
    with TemporaryDirectory() as temporary:
        result = Path(temporary) / "rows.jsonl"
        try:
            done = run_alone("peers.run", folder, *run, budget or 0, result, seconds=limit)
        except subprocess.TimeoutExpired as error:
            return _failure(run, f"did not end within {error.timeout / 60:.0f} minutes")
        if done.returncode == 0:
            return pd.read_json(result, lines=True).reindex(columns=table.COLUMNS)
    print(done.stderr, file=sys.stderr, flush=True)
    words = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
    return _failure(run, words[-1].replace(str(folder), "DATA").replace(str(ROOT), "."))


def _failure(run: Run, reason: str) -> pd.DataFrame:
    return pd.DataFrame([run._asdict() | {"note": table.FAILED + reason}]).reindex(columns=table.COLUMNS)
