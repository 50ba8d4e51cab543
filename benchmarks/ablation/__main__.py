"""Do the learned priors help? A ladder of models that differ in the prior alone.

``python -m benchmarks.ablation --data FOLDER`` runs every arm on every data set and seed, one process at a time, and
updates ``docs/_static/ablation.csv`` after each, then writes the page's tables and the figure. Runs that the table has
are skipped unless ``--again`` is given, so a suite that was stopped goes on where it was. ``--beta 0.3,1,3`` runs the
arms at these weights of the KL; arm A0 at weight 3 is called ``A0*3``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from benchmarks import table
from benchmarks.commands import listed, parser, run_alone
from benchmarks.data import DATA_SETS, data_folder
from benchmarks.paths import EVIDENCE, STATIC

from ._page import write_page

if TYPE_CHECKING:
    import argparse

SIMULATION = "sim"
REAL = ("pbmc10k", "cite600", "multiome500", "teaseq", "trimodal")
SEEDS = {SIMULATION: (0, 1, 2, 3, 4)} | dict.fromkeys(REAL, (0, 1, 2))
ARMS = ("A0", "A1", "A2", "A3", "A4g", "A4f")


class Run(NamedTuple):
    """What identifies a run in the table."""

    data: str
    arm: str
    seed: int


COLUMNS = [*Run._fields, "metric", "value"]


def main() -> None:
    """Run what was asked for, then write the page."""
    arguments = _arguments()
    if not arguments.page_only:
        _run_all(arguments)
    write_page(pd.read_csv(arguments.out), arguments.page, arguments.figure)


def arm_name(arm: str, beta: float) -> str:
    """Name of an arm at a weight of the KL."""
    return arm if beta == 1 else f"{arm}*{beta:g}"


def _run_all(arguments: argparse.Namespace) -> None:
    wanted = [
        (Run(data, arm_name(arm, beta), seed), arm, beta)
        for data in arguments.sets
        for seed in arguments.seeds or SEEDS[data]
        for beta in arguments.beta
        for arm in arguments.arms
    ]
    needs_files = set(arguments.sets) != {SIMULATION}
    folder = (arguments.data or data_folder()) if needs_files else Path()
    for number, (run, arm, beta) in enumerate(wanted, 1):
        if run.data in DATA_SETS and not (folder / DATA_SETS[run.data].file).exists():
            print(f"{run.data}: skipped, no file {DATA_SETS[run.data].file}", flush=True)
        elif arguments.again or run not in table.runs(table.read(arguments.out, COLUMNS), Run._fields):
            rows = _rows(folder, run, arm, beta, arguments.epochs)
            table.update(arguments.out, rows, list(SEEDS), Run._fields, COLUMNS)
            print(f"{number}/{len(wanted)} {_summary(run, rows)}", flush=True)


def _rows(folder: Path, run: Run, arm: str, beta: float, epochs: int) -> pd.DataFrame:
    """Rows of one run; none if it fails, so that the next call runs it again."""
    with TemporaryDirectory() as temporary:
        result = Path(temporary) / "rows.csv"
        done = run_alone("ablation.run", folder.resolve(), run.data, arm, run.seed, beta, epochs, result)
        if done.returncode == 0:
            rows = pd.read_csv(result).assign(data=run.data, seed=run.seed)
            return rows.assign(arm=[arm_name(name, beta) for name in rows["arm"]])[COLUMNS]
    print(done.stderr, file=sys.stderr, flush=True)
    return pd.DataFrame(columns=COLUMNS)


def _summary(run: Run, rows: pd.DataFrame) -> str:
    """The run and the main scores of its arms."""
    parts = []
    for arm, own in rows.groupby("arm"):
        values = own.set_index("metric")["value"]
        shown = [name for name in ("iwae", "c2st", "bio", "pearson", "foscttm", "seconds") if name in values]
        parts.append(" ".join([str(arm), *[f"{name} {values[name]:.3f}" for name in shown]]))
    return f"{run.data} seed {run.seed}: {'; '.join(parts) or f'{run.arm} failed'}"


def _arguments() -> argparse.Namespace:
    made = parser("ablation", __doc__, STATIC / "ablation.csv")
    add = made.add_argument
    add("--sets", type=listed(known=SEEDS), default=list(SEEDS), help="data sets, separated by commas")
    add("--arms", type=listed(), default=list(ARMS), help="arms of the ladder, or names of priors")
    add("--seeds", type=listed(int), help="by default five for the simulation and three for real data")
    add("--beta", type=listed(float), default=[1.0], help="weights of the KL")
    add("--epochs", type=int, default=0, help="of each run; by default the model's own number")
    add("--page", type=Path, default=EVIDENCE / "ablation.md", help="page to write")
    add("--figure", type=Path, default=STATIC / "ablation.png", help="figure to write")
    add("--again", action="store_true", help="run what the table has, too")
    add("--page-only", action="store_true", help="run nothing; write page and figure from the table")
    return made.parse_args()


if __name__ == "__main__":
    main()
