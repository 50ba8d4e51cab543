"""mmvae with its defaults, PCA and WNN on the real data sets: embedding quality, time and memory.

``python -m benchmarks.real_data`` runs every method, data set and seed in a process of its own, one at a time, and
updates ``docs/_static/real_data.csv`` after each; ``--docs`` then writes the page from it, ``--table-only`` does only
that.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from .data import DATA_SETS, data_folder
from .real_page import write_page

ROOT = Path(__file__).parents[1]
# Whether seeds make a difference. Not read from `methods`: a process starts with its parent's peak memory as its own
# (Linux), so what this one imports must stay less than what a run imports.
METHODS = {"mmvae": True, "pca": False, "wnn": False}
SCORES = ["nmi", "ari", "silhouette", "knn_f1", "bio", "batch_mixing", "ilisi"]
COSTS = ["seconds", "peak_memory_mb", "data_mb", "n_cells"]
RUN = ["data", "method", "seed"]
COLUMNS = [*RUN, "readout", *SCORES, *COSTS, "threads", "versions", "note"]


def main() -> None:
    """Run what was asked for, then write the page."""
    arguments = _arguments()
    if not arguments.table_only:
        _run_all(arguments)
    if arguments.docs:
        write_page(pd.read_csv(arguments.out), arguments.docs)


def _run_all(arguments: argparse.Namespace) -> None:
    folder = arguments.data or data_folder()
    for data in arguments.sets:
        if not (folder / DATA_SETS[data].file).exists():
            print(f"{data}: skipped, no file {DATA_SETS[data].file}", flush=True)
            continue
        for method in arguments.methods:
            for seed in arguments.seeds if METHODS[method] else arguments.seeds[:1]:
                rows = _run(folder, data, method, seed)
                _update(arguments.out, rows)
                print(_summary(rows), flush=True)


def _run(folder: Path, data: str, method: str, seed: int) -> pd.DataFrame:
    """Rows of one run; a run that fails gives one row without scores, and its last words as the note."""
    # Two threads that share a core with other work are slower than one.
    environment = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"} | os.environ
    with TemporaryDirectory() as temporary:
        result = Path(temporary) / "rows.jsonl"
        command = [sys.executable, "-W", "ignore", "-m", "benchmarks.real_run", folder, data, method, seed, result]
        done = subprocess.run([*map(str, command)], cwd=ROOT, env=environment, capture_output=True, text=True)
        if done.returncode == 0:
            return pd.read_json(result, lines=True).reindex(columns=COLUMNS)
    print(done.stderr, file=sys.stderr, flush=True)
    words = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
    reason = words[-1].replace(str(folder), "DATA").replace(str(ROOT), ".")
    failed = {"data": data, "method": method, "seed": seed, "note": f"failed: {reason}"}
    return pd.DataFrame([failed]).reindex(columns=COLUMNS)


def _update(out: Path, rows: pd.DataFrame) -> None:
    """Put the rows in place of earlier ones of the same run; a reader never sees half a file."""
    if out.exists():
        old = pd.read_csv(out)
        same = pd.MultiIndex.from_frame(old[RUN]).isin(pd.MultiIndex.from_frame(rows[RUN]))
        rows = pd.DataFrame(old[~same].to_dict("records") + rows.to_dict("records"), columns=COLUMNS)
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_suffix(".tmp")
    order = {name: i for i, name in enumerate([*DATA_SETS, *METHODS])}
    rows = rows.sort_values(RUN, key=lambda column: column.map(lambda x: order.get(x, x)), kind="stable")
    rows[COLUMNS].round(5).to_csv(temporary, index=False)
    temporary.replace(out)


def _summary(rows: pd.DataFrame) -> str:
    shown = rows[[*RUN, "readout", "bio", "batch_mixing", "seconds", "peak_memory_mb", "note"]]
    return shown.to_string(index=False, header=False, float_format="%.3f", na_rep="")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.real_data", description=__doc__)
    add = parser.add_argument
    add("--data", type=Path, help="folder of the data sets; by default the environment variable MMVAE_DATA")
    add("--sets", type=_names(DATA_SETS), default=list(DATA_SETS), help="data sets, separated by commas")
    add("--methods", type=_names(METHODS), default=list(METHODS), help="methods, separated by commas")
    add("--seeds", type=_seeds, default=[0, 1, 2], help="seeds of mmvae; PCA and WNN run with the first")
    add("--out", type=Path, default=ROOT / "docs" / "_static" / "real_data.csv", help="table to update")
    add("--docs", type=Path, help="page to write")
    add("--table-only", action="store_true", help="run nothing; write the page from the table")
    return parser.parse_args()


def _names(known: dict[str, object]) -> object:
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
