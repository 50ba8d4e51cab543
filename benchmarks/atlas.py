"""A quarter of a million cells of twelve studies, nearly all of protein alone: seconds, memory, mixing, cell types.

``python -m benchmarks.atlas --data FOLDER`` runs each method of ``benchmarks.methods.registry.LARGE`` with its defaults in a
process of its own, and updates ``docs/_static/atlas.csv`` after each run; runs that the table has are skipped, unless they
failed or had fewer ``--minutes`` of training, after which it ends at the latest; the table says at which epoch. ``--page``
writes the docs' table.

The linear methods have the protein alone. totalVI and MultiVI have zeros for the rna that a cell lacks: MultiVI takes them as
missing, totalVI as counts. Scores are over 20,000 cells drawn at random, the same for all:

- cell types: ``bio``, ``nmi``, ``ari``, ``silhouette`` and ``knn_f1`` of ``benchmarks.scores``, of cells whose type is known;
- studies: mixing among neighbours within a type (``mixing``) and within a finer one (``mixing_fine``), and iLISI;
- what cells have: the mixing within a type of cells with rna and without, in the studies that hold both (``mixing_patterns``).
"""

from __future__ import annotations

import json
import sys
import time
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from . import inputs, markdown, table
from .commands import listed, parser, run_alone
from .data import DataSet, data_folder
from .machine import machine, peak_memory
from .methods.outcome import TRAINING
from .methods.registry import LARGE
from .paths import ROOT, STATIC
from .scores.embedding import batch_mixing, bio_conservation, ilisi, nearest
from .tasks import Problem

if TYPE_CHECKING:
    import argparse

    from .methods.outcome import Outcome

ATLAS = DataSet(
    "adt_12studies_rna_bridge_mosaic.h5mu", "cell_type", "batch", ("unlabelled", "undefined"), "cell_type_fine"
)
PATTERN = "has"
COLUMNS_OF_CELLS = (ATLAS.labels, ATLAS.fine, ATLAS.batch, PATTERN)
LINEAR = ("pca", "harmony")
N_SCORED = 20_000
RUN = ["method", "seed"]
STAGES = ["setup", "training", "embedding"]
SCORES = ["bio", "nmi", "ari", "silhouette", "knn_f1", "mixing", "mixing_fine", "ilisi", "mixing_patterns"]
COLUMNS = [
    *RUN,
    "readout",
    *STAGES,
    "peak_gb",
    *SCORES,
    "n_cells",
    "n_scored",
    "processor",
    "threads",
    "note",
    "versions",
]
TITLES = {
    "setup": "set-up, s",
    "training": "training, s",
    "embedding": "latent, s",
    "peak_gb": "peak memory, GB",
    "bio": "cell types",
    "knn_f1": "kNN macro-F1",
    "mixing": "studies mixed within types",
    "mixing_fine": "within finer types",
    "ilisi": "iLISI",
    "mixing_patterns": "with and without rna mixed",
}
DIGITS = {"setup": 0, "training": 0, "embedding": 1, "peak_gb": 2}


def main() -> None:
    """Run what was asked for, then write the page; with ``--result`` one method in this process."""
    arguments = _arguments()
    folder = arguments.data or data_folder()
    if arguments.result:
        (method,), (seed,) = arguments.methods, arguments.seeds
        arguments.result.write_text(json.dumps(run(folder, method, seed, arguments.minutes)))
        return
    for seed, method in product(arguments.seeds, arguments.methods):
        if (method, seed) not in table.done(arguments.out, arguments.minutes, RUN):
            rows = pd.DataFrame(_alone(folder, method, seed, arguments.minutes)).reindex(columns=COLUMNS)
            table.update(arguments.out, rows, list(LARGE), RUN, COLUMNS)
            print(rows.to_string(index=False), flush=True)
    if arguments.page:
        arguments.page.write_text(page(table.read(arguments.out, COLUMNS)))


def run(folder: Path, method: str, seed: int, minutes: float | None) -> list[dict[str, Any]]:
    """A row for each readout of a method."""
    mdata, function = ATLAS.read(folder), LARGE[method].load()
    mdata.obs[PATTERN] = inputs.patterns(mdata)
    if method in LINEAR:
        mdata = inputs.selected(mdata, {"protein": np.ones(mdata.n_obs, dtype=bool)})
    start = time.perf_counter()
    outcome = function(Problem(mdata, ATLAS, seed, minutes))
    seconds, peak = time.perf_counter() - start, peak_memory() / 1_000
    cells = scored_cells(mdata.obs_names)
    facts = {"method": method, "seed": seed, "note": outcome.note, "peak_gb": peak, "n_cells": mdata.n_obs}
    facts |= {"n_scored": len(cells)} | machine(LARGE[method].packages)
    return [
        facts | {"readout": name} | stages(outcome, name, seconds) | scores(latent[cells], mdata.obs.iloc[cells])
        for name, latent in outcome.readouts.items()
    ]


def scored_cells(names: pd.Index) -> np.ndarray:
    """Rows of cells to score, the same cells in whatever order they are, ``(n_scored,)``."""
    chosen = np.random.default_rng(0).choice(np.sort(names), min(N_SCORED, len(names)), replace=False)
    return names.get_indexer(chosen)


def stages(outcome: Outcome, readout: str, seconds: float) -> dict[str, float]:
    """Seconds of set-up, training and one readout; of all together where a method has no stages."""
    if not outcome.seconds:
        return {"training": seconds}
    setup = seconds - sum(outcome.seconds.values())
    return {"setup": setup, "training": outcome.seconds[TRAINING], "embedding": outcome.seconds[readout]}


def scores(latent: np.ndarray, obs: pd.DataFrame) -> dict[str, float]:
    """Scores of the latent of some cells, ``(n_cells, n_dimensions)``."""
    labels, fine, batch, pattern = (obs[name].astype(str).to_numpy() for name in COLUMNS_OF_CELLS)
    known, known_fine = (~np.isin(own, ATLAS.unknown) for own in (labels, fine))
    bridged = known & np.isin(batch, [name for name in np.unique(batch) if len(np.unique(pattern[batch == name])) > 1])
    return bio_conservation(latent[known], labels[known]) | {
        "mixing": batch_mixing(latent[known], labels[known], batch[known]),
        "mixing_fine": batch_mixing(latent[known_fine], fine[known_fine], batch[known_fine]),
        "ilisi": ilisi(*nearest(latent), batch),
        "mixing_patterns": batch_mixing(latent[bridged], labels[bridged], pattern[bridged]),
    }


def page(found: pd.DataFrame) -> str:
    """A line for each readout, and what it was measured on."""
    lines = [["method", "readout", *TITLES.values(), "note"]]
    for _, row in found.iterrows():
        values = [_number(row[name], DIGITS.get(name, 3)) for name in TITLES]
        lines.append([row["method"], _text(row["readout"]), *values, _text(row["note"])])
    machines = found.dropna(subset="processor").groupby(["processor", "threads"], sort=False)["versions"].unique()
    measured_on = [
        f"{processor}, threads: {threads:.0f}; {'; '.join(dict.fromkeys(', '.join(versions).split(', ')))}"
        for (processor, threads), versions in machines.items()
    ]
    return "\n\n".join([markdown.table(lines, ["method", "readout", "note"]), *measured_on]) + "\n"


def _number(value: float, digits: int) -> str:
    return markdown.ABSENT if pd.isna(value) else f"{value:,.{digits}f}"


def _text(value: object) -> str:
    return markdown.ABSENT if pd.isna(value) or not value else str(value)


def _alone(folder: Path, method: str, seed: int, minutes: float | None) -> list[dict[str, Any]]:
    """Rows of a run in a process of its own; of one that fails its last words."""
    with TemporaryDirectory() as temporary:
        result = Path(temporary) / "rows.json"
        given = ["--data", folder, "--methods", method, "--seeds", seed, "--result", result]
        done = run_alone("atlas", *given, *([] if minutes is None else ["--minutes", minutes]))
        if done.returncode == 0:
            return json.loads(result.read_text())
    print(done.stderr, file=sys.stderr, flush=True)
    words = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
    return [{"method": method, "seed": seed, "note": table.FAILED + words[-1].replace(str(ROOT), ".")}]


def _arguments() -> argparse.Namespace:
    made = parser("atlas", __doc__, STATIC / "atlas.csv")
    add = made.add_argument
    add("--methods", type=listed(known=LARGE), default=list(LARGE), help=f"of {', '.join(LARGE)}")
    add("--seeds", type=listed(int), default=[0])
    add("--minutes", type=float, help="of a training, at the most")
    add("--page", type=Path, help="Markdown file to write")
    add("--result", type=Path, help="run one method in this process, and write JSON there in place of the table")
    return made.parse_args()


if __name__ == "__main__":
    main()
