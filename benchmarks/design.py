"""What was tried for mmvae's defaults: one change at a time, on real data.

``python -m benchmarks.design --data FOLDER`` runs each design of ``benchmarks.methods.DESIGNS`` and updates
``docs/_static/design.csv`` after each run; runs that the table has are skipped. ``--page`` writes the docs' table.
"""

from __future__ import annotations

import argparse
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from . import table
from .data import DATA_SETS, data_folder
from .methods import DESIGNS, READOUTS
from .peers import ROOT, Run, rows_of
from .tasks import COMPLETE, SKEWED

if TYPE_CHECKING:
    import numpy as np

TABLE = ROOT / "docs" / "_static" / "design.csv"
SETS = ("cite600", "multiome500", "trimodal", "tcga")
DEFAULT, PLAIN = "default", "readout unweighted"
TITLES = {COMPLETE: "", SKEWED: ", where two types of three are in one batch alone"}
SCORES = {"bio": "bio-conservation", "batch_mixing": "batch mixing"}


def main() -> None:
    """Run what was asked for, then write the page."""
    arguments = _arguments()
    folder = arguments.data or data_folder()
    for seed in arguments.seeds:
        for design in arguments.designs:
            for data, task in product(arguments.sets, arguments.tasks):
                run = Run(data, task, design, seed)
                if (folder / DATA_SETS[data].file).exists() and tuple(run) not in table.done(arguments.out, None):
                    table.update(arguments.out, rows_of(folder, run, None), [*SETS, *TITLES, *DESIGNS])
                    print(*run, flush=True)
    if arguments.page:
        arguments.page.parent.mkdir(parents=True, exist_ok=True)
        arguments.page.write_text(page(table.read(arguments.out)))


def page(scores: pd.DataFrame) -> str:
    """A table for each task and score: designs by data sets, mean and standard deviation over seeds."""
    fused, plain = (scores[scores["readout"] == readout] for readout in READOUTS)
    shown = pd.concat([fused, plain[plain["method"] == DEFAULT].assign(method=PLAIN)])
    parts = [
        f"{title}{suffix}:\n\n{table.markdown(own, list(SETS), [*DESIGNS, PLAIN], _cell)}"
        for (task, suffix), (metric, title) in product(TITLES.items(), SCORES.items())
        if len(own := shown[(shown["task"] == task) & (shown["metric"] == metric)])
    ]
    return "\n\n".join(parts) + "\n"


def _cell(values: np.ndarray) -> str:
    if not len(values):
        return "–"
    spread = f" ± {values.std(ddof=1):.3f}" if len(values) > 1 else ""
    return f"{values.mean():.3f}{spread} ({len(values)})"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.design", description=__doc__)
    add = parser.add_argument
    add("--data", type=Path, help="folder of the data sets; by default the environment variable MMVAE_DATA")
    add("--sets", type=lambda text: text.split(","), default=list(SETS), help="data sets, separated by commas")
    add("--tasks", type=lambda text: text.split(","), default=[COMPLETE], help=f"of {', '.join(TITLES)}")
    add("--designs", type=lambda text: text.split(","), default=list(DESIGNS), help="names, separated by commas")
    add("--seeds", type=lambda text: [int(seed) for seed in text.split(",")], default=[0, 1, 2])
    add("--out", type=Path, default=TABLE, help="table to update")
    add("--page", type=Path, help="Markdown file to write")
    return parser.parse_args()


if __name__ == "__main__":
    main()
