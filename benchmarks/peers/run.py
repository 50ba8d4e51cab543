"""One method on one task, in a process of its own, so that its peak memory is its own.

``python -m benchmarks.peers.run FOLDER DATA TASK METHOD SEED BUDGET RESULT`` appends a line of JSON for each score to RESULT.
BUDGET is in minutes, 0 for none.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import scipy.sparse as sp

from benchmarks import tasks
from benchmarks.data import DATA_SETS
from benchmarks.machine import BYTES_IN_MB, peak_memory, versions
from benchmarks.methods.registry import METHODS

from ._scores import score

if TYPE_CHECKING:
    from mudata import MuData

    from benchmarks.methods.outcome import Outcome
    from benchmarks.tasks import Problem


def main(folder: str, data: str, task: str, method: str, seed: str, budget: str, result: str) -> None:
    """Run, measure, score, and write the rows."""
    facts: dict[str, Any] = {"data": data, "task": task, "method": method, "seed": int(seed)}
    facts |= {"threads": os.environ.get("OMP_NUM_THREADS", ""), "versions": versions(METHODS[method].packages)}
    try:
        rows = _rows(DATA_SETS[data].read(Path(folder)), facts, float(budget) or None)
    except tasks.NotApplicableError as reason:
        rows = [facts | {"note": str(reason)}]
    with Path(result).open("a") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def size_of(mdata: MuData) -> float:
    """Size of the matrices as they are in memory, in MB."""
    return sum(_bytes(adata.X) for adata in mdata.mod.values()) / BYTES_IN_MB


def _rows(mdata: MuData, facts: dict[str, Any], budget: float | None) -> list[dict[str, Any]]:
    """A row for each readout and metric."""
    problem = tasks.problem(mdata, DATA_SETS[facts["data"]], facts["task"], facts["seed"])
    problem.budget = budget
    outcome, costs = _run(problem, facts["method"])
    facts |= {"n_cells": problem.mdata.n_obs, "data_mb": size_of(problem.mdata), "note": outcome.note} | costs
    rows = [
        facts | {"readout": readout, "metric": metric, "value": value}
        for readout, scores in score(outcome, problem).items()
        for metric, value in scores.items()
    ]
    if facts["task"] == tasks.COMPLETE:
        outcome.check()
    return rows


def _run(problem: Problem, method: str) -> tuple[Outcome, dict[str, float]]:
    """What the method gives, and what that took beyond the interpreter, the method's imports and the task's data."""
    function = METHODS[method].load()
    before, start = peak_memory(), time.perf_counter()
    outcome = function(problem)
    return outcome, {"seconds": time.perf_counter() - start, "peak_memory_mb": peak_memory() - before}


def _bytes(matrix: Any) -> int:
    if sp.issparse(matrix):
        return matrix.data.nbytes + matrix.indices.nbytes + matrix.indptr.nbytes
    return matrix.nbytes


if __name__ == "__main__":
    main(*sys.argv[1:])
