"""Is a filled latent as sure as it should be? Of held-out cells, beside the latent that their own measurement gives.

``python -m benchmarks.fills --data FOLDER`` trains with a fifth of the cells held out, and updates ``docs/_static/fills.csv`` after
each run; ``--page`` writes the docs' table. ``--code`` names the code that is measured, where an earlier one is put first
on the path. Runs that the table has are skipped.

A filled latent is a Gaussian of the mean and variance that ``get_latent_representation`` gives of a modality which a cell
lacks. What it should predict is a draw of the modality's posterior, given that modality.
"""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import anndata as ad
import numpy as np
import pandas as pd

from . import inputs, markdown, table
from .commands import listed, parser
from .data import DATA_SETS, data_folder
from .machine import machine
from .paths import STATIC
from .training import train

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from mudata import MuData

    from mmvae import MultiVAE

SIMULATED, PANEL = "simulated", "protein"
WHOLE = ("cite600", "multiome500", "tcga")
# Every second protein makes another modality, so that there are two to predict a third from.
HALVED = {
    "teaseq halves": DATA_SETS["teaseq"],
    "pbmc10k halves": DATA_SETS["pbmc10k"],
}
SETS = (*WHOLE, SIMULATED, *HALVED)
# As shares of the cells; the others are held out.
TRAINED, VALIDATED = 0.72, 0.08
N_SIMULATED = 1_200
BEFORE, NOW = "before", "now"
RUN = ["data", "code", "seed"]
SCORES = ["residual", "nats"]
COLUMNS = [*RUN, "target", "sources", "n_cells", *SCORES, "processor", "threads", "versions"]
HEADINGS = ["data", "latent of", "from", "cells"]
HEADINGS += [f"{name}, {code}" for name in ("residual", "nats") for code in (BEFORE, NOW)]
PACKAGES = ("mmvae", "scvi-tools", "torch")


class Gaussians(NamedTuple):
    """Means and variances of cells' latents, each ``(C, D)``."""

    mean: np.ndarray
    variance: np.ndarray


def main() -> None:
    """Run what was asked for, then write the page."""
    arguments = _arguments()
    for data in arguments.sets:
        for seed in arguments.seeds:
            if (data, arguments.code, seed) not in table.runs(table.read(arguments.out, COLUMNS), RUN):
                facts = {"data": data, "code": arguments.code, "seed": seed} | machine(PACKAGES)
                rows = pd.DataFrame([facts | row for row in run(read(data, arguments.data), seed)])
                table.update(arguments.out, rows, [*SETS, BEFORE, NOW], RUN, COLUMNS)
                print(
                    rows[["data", "seed", "target", "sources", *SCORES]].to_string(index=False, header=False),
                    flush=True,
                )
    if arguments.page:
        arguments.page.write_text(page(table.read(arguments.out, COLUMNS)))


def read(data: str, folder: Path | None) -> MuData:
    """A data set, simulated, as it is on disk, or with its protein panel in two halves."""
    import mmvae

    if data == SIMULATED:
        return mmvae.datasets.simulate(N_SIMULATED, n_batches=1)
    folder = folder or data_folder()
    return halved(HALVED[data].read(folder)) if data in HALVED else DATA_SETS[data].read(folder)


def halved(mdata: MuData) -> MuData:
    """The same cells with every second protein in a modality of its own."""
    modalities: dict[str, ad.AnnData] = {name: adata for name, adata in mdata.mod.items() if name != PANEL}
    for number in (0, 1):
        modalities[f"{PANEL}{number + 1}"] = mdata[PANEL][:, number::2].copy()
    return inputs.joined(modalities)


def run(mdata: MuData, seed: int) -> Iterator[dict[str, object]]:
    """Train with the defaults, but a fifth of the cells held out; a row for each latent and choice of other modalities."""
    from mmvae import MultiVAE

    MultiVAE.setup_mudata(mdata)
    model = MultiVAE(mdata, seed=seed)
    train(model, None, train_size=TRAINED, validation_size=VALIDATED)
    return measured(model, mdata)


def measured(model: MultiVAE, mdata: MuData) -> Iterator[dict[str, object]]:
    """Scores of each modality's latent of the test cells from each choice of other modalities."""
    present, names = inputs.presence(mdata), list(mdata.mod)
    held = np.isin(np.arange(mdata.n_obs), model.test_indices_)
    for target in names:
        for sources in _choices([name for name in names if name != target]):
            cells = held & present[:, [names.index(name) for name in (target, *sources)]].all(axis=1)
            truth = _latent(model, inputs.selected(mdata, {target: cells}), target)
            filled = _latent(model, inputs.selected(mdata, dict.fromkeys(sources, cells)), target)
            facts = {"target": target, "sources": "+".join(sources), "n_cells": int(cells.sum())}
            yield facts | scores(truth, filled)


def scores(truth: Gaussians, filled: Gaussians) -> dict[str, float]:
    """Mean squared standardised residual of a draw of the truth, and KL of the truth from the fill in nats per cell.

    The residual is 1 where a fill is as sure as it should be, and larger where it is surer.
    """
    squares = ((truth.mean - filled.mean) ** 2 + truth.variance) / filled.variance
    nats = 0.5 * (squares - 1 + np.log(filled.variance / truth.variance)).sum(axis=1)
    return {"residual": float(squares.mean()), "nats": float(nats.mean())}


def page(found: pd.DataFrame) -> str:
    """A line for each set, latent and choice of sources; mean and standard deviation over seeds, before and now."""
    lines = [HEADINGS]
    for (data, target, sources), own in found.groupby(["data", "target", "sources"], sort=False):
        by_code = [own[own["code"] == code] for code in (BEFORE, NOW)]
        values = [
            markdown.spread(rows[name].to_numpy(), 2 if name == "residual" else 1)
            for name in SCORES
            for rows in by_code
        ]
        lines.append([data, target, sources, f"{own['n_cells'].mean():.0f}", *values])
    return markdown.table(lines, HEADINGS[:3]) + "\n"


def _choices(names: list[str]) -> Iterator[tuple[str, ...]]:
    for size in range(1, len(names) + 1):
        yield from combinations(names, size)


def _latent(model: MultiVAE, mdata: MuData, name: str) -> Gaussians:
    return Gaussians(*model.get_latent_representation(mdata, modality=name, return_dist=True))


def _arguments() -> argparse.Namespace:
    made = parser("fills", __doc__, STATIC / "fills.csv")
    add = made.add_argument
    add("--sets", type=listed(known=SETS), default=list(SETS), help="data sets, separated by commas")
    add("--seeds", type=listed(int), default=[0, 1, 2])
    add("--code", choices=(BEFORE, NOW), default=NOW, help="what the rows are of")
    add("--page", type=Path, help="Markdown file to write")
    return made.parse_args()


if __name__ == "__main__":
    main()
