"""One method on one set, in a process of its own.

``python -m benchmarks.imputation.run FOLDER DATA METHOD SEED BUDGET KEPT RESULT`` writes a row as JSON to RESULT. BUDGET is in
minutes, 0 for none; KEPT is a folder where trained models are looked for and kept, or ``-``.
"""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module
from pathlib import Path

from benchmarks.machine import versions

from ._methods import METHODS
from ._scores import scores
from ._task import task


def main(folder: str, data: str, method: str, seed: str, budget: str, kept: str, result: str) -> None:
    """Predict and score."""
    entry = METHODS[method]
    made = task(data, Path(folder), int(seed))
    made.budget = float(budget) or None
    made.kept = None if kept == "-" else Path(kept) / f"{data}_{method}_{seed}"
    module, function = entry.function.split(":")
    predicted = getattr(import_module(f"{__package__}.{module}"), function)(made)
    row = {"data": data, "method": method, "seed": int(seed), "n_cells": int(made.held.sum())}
    row |= {**scores(made, predicted), "note": predicted.note}
    row |= {"threads": os.environ.get("OMP_NUM_THREADS", ""), "versions": versions(entry.packages)}
    Path(result).write_text(json.dumps(row))


if __name__ == "__main__":
    main(*sys.argv[1:])
