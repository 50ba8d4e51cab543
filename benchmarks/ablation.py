"""Do the learned priors help? A ladder of models that differ in the prior alone.

``python -m benchmarks.ablation --data FOLDER`` runs every arm on every data set and seed, one process at a time, and
updates ``docs/_static/ablation.csv`` after each, then writes the page's tables and the figure. Runs that the table has
are skipped unless ``--again`` is given, so a suite that was stopped goes on where it was. ``--beta 0.3,1,3`` runs the
arms at these weights of the KL; arm A0 at weight 3 is called ``A0*3``.
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

from .ablation_page import write_page
from .data import DATA_SETS, data_folder

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "docs" / "_static" / "ablation.csv"
FIGURE = ROOT / "docs" / "_static" / "ablation.png"
PAGE = ROOT / "docs" / "_evidence" / "ablation.md"
SIMULATION = "sim"
REAL = ("cite600", "multiome500", "teaseq", "trimodal")
SEEDS = {SIMULATION: (0, 1, 2, 3, 4)} | dict.fromkeys(REAL, (0, 1, 2))
ARMS = ("A0", "A1", "A2", "A3", "A4g", "A4f")
COLUMNS = ["data", "arm", "seed", "metric", "value"]


class Run(NamedTuple):
    """What identifies a run in the table."""

    data: str
    arm: str
    seed: int


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
        elif arguments.again or run not in _done(arguments.out):
            rows = _rows(folder, run, arm, beta, arguments.epochs)
            update(arguments.out, rows)
            print(f"{number}/{len(wanted)} {_summary(run, rows)}", flush=True)


def _rows(folder: Path, run: Run, arm: str, beta: float, epochs: int) -> pd.DataFrame:
    """Rows of one run; none if it fails, so that the next call runs it again."""
    # Two threads that share a core with other work are slower than one.
    environment = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"} | os.environ
    with TemporaryDirectory() as temporary:
        result = Path(temporary) / "rows.csv"
        given = [folder.resolve(), run.data, arm, run.seed, beta, epochs, result]
        command = [sys.executable, "-W", "ignore", "-m", "benchmarks.ablation_run", *map(str, given)]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        if done.returncode == 0:
            rows = pd.read_csv(result).assign(data=run.data, seed=run.seed)
            return rows.assign(arm=[arm_name(name, beta) for name in rows["arm"]])[COLUMNS]
    print(done.stderr, file=sys.stderr, flush=True)
    return pd.DataFrame(columns=COLUMNS)


def update(path: Path, rows: pd.DataFrame) -> None:
    """Put the rows in place of earlier ones of the same runs; a reader never sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        old = pd.read_csv(path)
        same = pd.MultiIndex.from_frame(old[list(Run._fields)]).isin(pd.MultiIndex.from_frame(rows[list(Run._fields)]))
        rows = pd.DataFrame(old[~same].to_dict("records") + rows.to_dict("records"), columns=COLUMNS)
    place = {name: i for i, name in enumerate(SEEDS)}
    rows = rows.sort_values(
        list(Run._fields),
        key=lambda column: column.map(lambda x: place.get(x, len(place))) if column.name == "data" else column,
        kind="stable",
    )
    temporary = path.with_suffix(".tmp")
    rows.round({"value": 5}).to_csv(temporary, index=False)
    temporary.replace(path)


def _done(path: Path) -> set[Run]:
    if not path.exists():
        return set()
    runs = pd.read_csv(path)[list(Run._fields)].drop_duplicates()
    return {Run(*run) for run in runs.itertuples(index=False)}


def _summary(run: Run, rows: pd.DataFrame) -> str:
    """The run and the main scores of its arms."""
    parts = []
    for arm, own in rows.groupby("arm"):
        values = own.set_index("metric")["value"]
        shown = [name for name in ("iwae", "c2st", "bio", "pearson", "foscttm", "seconds") if name in values]
        parts.append(" ".join([str(arm), *[f"{name} {values[name]:.3f}" for name in shown]]))
    return f"{run.data} seed {run.seed}: {'; '.join(parts) or f'{run.arm} failed'}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ablation", description=__doc__)
    add = parser.add_argument
    add("--data", type=Path, help="folder of the data sets; by default the environment variable MMVAE_DATA")
    add("--sets", type=_listed(str, SEEDS), default=list(SEEDS), help="data sets, separated by commas")
    add("--arms", type=_listed(str), default=list(ARMS), help="arms of the ladder, or names of priors")
    add("--seeds", type=_listed(int), help="by default five for the simulation and three for real data")
    add("--beta", type=_listed(float), default=[1.0], help="weights of the KL")
    add("--epochs", type=int, default=0, help="of each run; by default the model's own number")
    add("--out", type=Path, default=TABLE, help="table to update")
    add("--page", type=Path, default=PAGE, help="page to write")
    add("--figure", type=Path, default=FIGURE, help="figure to write")
    add("--again", action="store_true", help="run what the table has, too")
    add("--page-only", action="store_true", help="run nothing; write page and figure from the table")
    return parser.parse_args()


def _listed(kind: type, known: dict[str, object] | None = None) -> object:
    def listed(text: str) -> list[object]:
        chosen = [kind(part) for part in text.split(",")]
        if known is not None and (unknown := [name for name in chosen if name not in known]):
            msg = f"expected some of {list(known)}; got {unknown}"
            raise argparse.ArgumentTypeError(msg)
        return chosen

    return listed


if __name__ == "__main__":
    main()
