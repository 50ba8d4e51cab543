"""Do the spatial modality and its prior find tissue regions? Measured on annotated sections, beside peers.

``python -m benchmarks.spatial --data FOLDER`` embeds the spots of each data set with each method, updates
``docs/_static/spatial.csv`` after each run and then writes the docs' table; runs that the table has are skipped. All methods
are given the same 2,000 genes of the same spots, and the section as batch where they take one. Deep peers that are no
dependency of this package (``_deep.py``) are run where they are installed.

- ``joint_mixture_ari`` and the like: clusters at the true number of regions, by a Gaussian mixture of one covariance or by
  k-means, of all sections' spots together (``joint``) or of each section's by themselves (``each``); the score of each section
  is named after it, and that without a name is their mean.
- ``nmi`` and ``ari``: Leiden clusters of all spots of a set against the regions, the best of a fixed set of resolutions.
- ``nmi_within`` and ``ari_within``: the same of the clusters of each section's spots by themselves, a mean over sections.
- ``isolated`` and ``others``: accuracy of a classifier of regions, in five folds over patches of the tissue, on spots whose
  region differs from that of all their neighbours, and on the rest.
- ``held_out``: macro-F1 of a classifier that learnt regions of the other sections, in the embedding of a section that the
  method was not trained on; a mean over sections. Only of sets with several.
"""

from __future__ import annotations

import time
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from benchmarks import table
from benchmarks.commands import listed, parser
from benchmarks.data import data_folder
from benchmarks.paths import EVIDENCE, STATIC

from ._methods import BY_SECTION, METHODS, UNSEEDED
from ._page import page
from ._partitions import partition_scores
from ._scores import domain_scores, held_out_score, patch_scores
from ._tissues import SECTION, TISSUES, Tissue

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    import numpy as np
    from anndata import AnnData

PARTITIONS, DOMAINS, HELD_OUT = "partitions", "domains", "held_out"
TASKS = (PARTITIONS, DOMAINS, HELD_OUT)
DEFAULT = [name for name in METHODS if name not in BY_SECTION]


def main() -> None:
    """Run what was asked for, then write the page."""
    arguments = _arguments()
    folder = arguments.data or data_folder()
    for name in arguments.sets:
        tissue = TISSUES[name]
        if isinstance(tissue, Tissue) and not (folder / tissue.file).exists():
            print(f"{name}: no {tissue.file} in the folder; skipped")
            continue
        adata = tissue.read(folder)
        for seed, method in product(arguments.seeds, arguments.methods):
            embed = cache(partial(METHODS[method], adata, adata, seed))
            for task in _tasks(arguments.tasks, method, adata):
                run = (name, task, method, 0 if method in UNSEEDED else seed)
                if arguments.again or run not in table.done(arguments.out, None):
                    table.update(arguments.out, _rows(adata, run, embed), [*TISSUES, *METHODS])
                    print(*run, flush=True)
    arguments.page.write_text(page(table.read(arguments.out)))


def _tasks(asked: list[str], method: str, adata: AnnData) -> list[str]:
    """Tasks that a method can be given: no section can be held out where there is one, and some know one at a time."""
    possible = [PARTITIONS] + [DOMAINS] * (method not in BY_SECTION)
    possible += [HELD_OUT] * (method not in BY_SECTION and adata.obs[SECTION].nunique() > 1)
    return [task for task in asked if task in possible]


def _rows(adata: AnnData, run: tuple[str, str, str, int], embed: Callable[[], np.ndarray]) -> pd.DataFrame:
    _, task, method, seed = run
    started = time.perf_counter()
    if task == PARTITIONS:
        scores = partition_scores(embed(), adata, seed, together=method not in BY_SECTION)
    elif task == DOMAINS:
        scores = domain_scores(embed(), adata) | patch_scores(embed(), adata)
    else:
        scores = {HELD_OUT: held_out_score(adata, method, seed)}
    seconds = time.perf_counter() - started
    frame = pd.DataFrame({"metric": list(scores), "value": list(scores.values())})
    return frame.assign(**dict(zip(table.RUN, run, strict=True)), readout="fused", seconds=seconds, n_cells=adata.n_obs)


def _arguments() -> argparse.Namespace:
    made = parser("spatial", __doc__, STATIC / "spatial.csv")
    add = made.add_argument
    add("--sets", type=listed(known=TISSUES), default=list(TISSUES), help="data sets, separated by commas")
    add("--methods", type=listed(known=METHODS), default=DEFAULT, help="names, separated by commas")
    add("--seeds", type=listed(int), default=[0, 1, 2])
    add("--tasks", type=listed(known=TASKS), default=list(TASKS), help="names, separated by commas")
    add("--again", action="store_true", help="run what the table has, too")
    add("--page", type=Path, default=EVIDENCE / "spatial.md", help="Markdown file to write")
    return made.parse_args()


if __name__ == "__main__":
    main()
