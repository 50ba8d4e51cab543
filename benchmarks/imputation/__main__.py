"""A modality of held-out cells, predicted from their rna: mmvae beside ridge, neighbours, types, totalVI and MultiVI.

``python -m benchmarks.imputation --data FOLDER`` hides the target in a fifth of the cells, which every method is given with
the others; it updates ``docs/_static/imputation.csv`` after each run, and ``--page`` writes the docs' tables. Runs that the
table has are skipped. ``--memory`` measures what it takes to write all of a set's predictions to Zarr, with the model that
``--keep`` holds.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pandas as pd

from benchmarks import table
from benchmarks.commands import listed, parser, run_alone
from benchmarks.data import DATA_SETS, data_folder
from benchmarks.paths import STATIC

from ._methods import METHODS
from ._page import page
from ._task import SIMULATED, TARGETS

if TYPE_CHECKING:
    import argparse

RUN = ["data", "method", "seed"]
SCORES = ["pearson", "spearman", "auroc", "nll", "nll_own", "coverage", "central", "below", "above", "width", "rates"]
COLUMNS = [*RUN, "n_cells", *SCORES, "note", "threads", "versions"]
GRACE_MINUTES = 20


def main() -> None:
    """Run what was asked for, then write the page."""
    arguments = _arguments()
    folder = arguments.data or data_folder()
    for data in arguments.sets:
        for seed in arguments.seeds:
            for method in arguments.methods:
                is_there = data == SIMULATED or (folder / DATA_SETS[data].file).exists()
                fits = TARGETS[data] in METHODS[method].targets and is_there
                known = table.runs(table.read(arguments.out, COLUMNS), RUN)
                if fits and ((data, method, seed) not in known or arguments.again):
                    row = _row(folder, data, method, seed, arguments)
                    table.update(arguments.out, pd.DataFrame([row]), [*TARGETS, *METHODS], RUN, COLUMNS)
                    print({name: row.get(name) for name in (*RUN, *SCORES, "note")}, flush=True)
    if arguments.page:
        arguments.page.write_text(page(table.read(arguments.out, COLUMNS)))


def _row(folder: Path, data: str, method: str, seed: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """What a run gives; one that fails gives its last words as the note."""
    limit = None if arguments.budget is None else 60 * (arguments.budget + GRACE_MINUTES)
    with TemporaryDirectory() as temporary:
        result = Path(temporary) / "row.json"
        given = (folder, data, method, seed, arguments.budget or 0, arguments.keep or "-", result)
        try:
            done = run_alone("imputation.run", *given, seconds=limit)
        except subprocess.TimeoutExpired as error:
            return {"data": data, "method": method, "seed": seed, "note": f"{table.FAILED}over {error.timeout} seconds"}
        if done.returncode == 0:
            return dict(json.loads(result.read_text()))
    print(done.stderr, flush=True)
    words = done.stderr.strip().splitlines()[-1:] or [str(done.returncode)]
    return {"data": data, "method": method, "seed": seed, "note": table.FAILED + words[0]}


def _arguments() -> argparse.Namespace:
    made = parser("imputation", __doc__, STATIC / "imputation.csv")
    add = made.add_argument
    add("--sets", type=listed(known=TARGETS), default=list(TARGETS), help="data sets, separated by commas")
    add("--methods", type=listed(known=METHODS), default=list(METHODS), help="methods, separated by commas")
    add("--seeds", type=listed(int), default=[0, 1, 2], help="of the methods and of what is held out")
    add("--budget", type=float, help="minutes that the training of one run may take")
    add("--keep", type=Path, help="folder of trained models, which are read where they are there and kept else")
    add("--again", action="store_true", help="run what the table has, too")
    add("--page", type=Path, help="Markdown file to write")
    return made.parse_args()


if __name__ == "__main__":
    main()
