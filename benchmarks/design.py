"""What was tried for mmvae's defaults: one change at a time, on real data.

``python -m benchmarks.design --data FOLDER`` runs each design of ``benchmarks.methods.registry`` and updates
``docs/_static/design.csv`` after each run; runs that the table has are skipped. ``--page`` writes the docs' table.
"""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from . import markdown, table
from .commands import listed, parser
from .data import DATA_SETS, data_folder
from .methods.registry import DESIGNS, READOUTS
from .paths import STATIC
from .peers.launch import Run, rows_of
from .tasks import COMPLETE, SKEWED

if TYPE_CHECKING:
    import argparse

    import numpy as np

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
                if (folder / DATA_SETS[data].file).exists() and run not in table.done(arguments.out, None):
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
        f"{title}{suffix}:\n\n{markdown.by_set(own, list(SETS), [*DESIGNS, PLAIN], _cell)}"
        for (task, suffix), (metric, title) in product(TITLES.items(), SCORES.items())
        if len(own := shown[(shown["task"] == task) & (shown["metric"] == metric)])
    ]
    return "\n\n".join(parts) + "\n"


def _cell(values: np.ndarray) -> str:
    return f"{markdown.spread(values)} ({len(values)})" if len(values) else markdown.ABSENT


def _arguments() -> argparse.Namespace:
    made = parser("design", __doc__, STATIC / "design.csv")
    add = made.add_argument
    add("--sets", type=listed(known=DATA_SETS), default=list(SETS), help="data sets, separated by commas")
    add("--tasks", type=listed(known=TITLES), default=[COMPLETE], help=f"of {', '.join(TITLES)}")
    add("--designs", type=listed(known=DESIGNS), default=list(DESIGNS), help="names, separated by commas")
    add("--seeds", type=listed(int), default=[0, 1, 2])
    add("--page", type=Path, help="Markdown file to write")
    return made.parse_args()


if __name__ == "__main__":
    main()
