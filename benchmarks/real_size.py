"""Which epoch to keep, and how long, wide and regular to train: one change at a time, scored on held-out cells.

``python -m benchmarks.real_size --data FOLDER`` trains each of ``DESIGNS`` on four fifths of the cells of each data set
and updates ``docs/_static/real_size.csv`` after each run; runs that the table has are skipped. ``--page`` writes the
docs' table. The weights of several epochs of one training are scored, see ``KEPT``.
"""

from __future__ import annotations

import random
import time
import warnings
from itertools import combinations, product
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from lightning.pytorch.callbacks import Callback

from mmvae.train import KeepWeights, defaults_for, schedule_for

from . import inputs, table
from .ablation._bounds import bounds
from .ablation._imputation import imputation
from .commands import listed, parser
from .data import DATA_SETS, DataSet, data_folder
from .methods._normalised import most_variable
from .paths import STATIC
from .scores.embedding import bio_conservation
from .scores.mosaic import foscttm
from .training import train

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from mudata import MuData

    from mmvae import MultiVAE

HELD_OUT, N_HELD, N_LABELLED, N_CELLS, N_DRAWS = 0.2, 1_000, 2_000, 20_000, 8
UNKNOWN = ("Mis", "unlabelled", "undefined", "none", "nan")
RUN, COLUMNS = ["data", "design", "seed"], ["data", "design", "kept", "seed", "metric", "value"]
GENES = "2,000 genes"
SETS = {
    "multiome500": DATA_SETS["multiome500"],
    "cite600": DATA_SETS["cite600"],
    f"teaseq, {GENES}": DATA_SETS["teaseq"],
    "teaseq": DATA_SETS["teaseq"],
    "pbmc10k": DataSet("citeseq_pbmc10k_paired.h5mu", "adtnorm_l2"),
    "snareseq": DATA_SETS["snareseq"],
    "studies": DataSet("adt_12studies_rna_bridge_mosaic.h5mu", "cell_type_fine", "batch"),
}
# Arguments of the model, and of its training.
DESIGNS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "default": ({}, {}),
}
KEPT = {
    "start": "best from the start of the priors on",
    "warm": "best from the end of the KL's warm-up on",
    "averaged": "as start, of weights averaged over some ten epochs",
    "last": "the last",
}


class Averaged(Callback):
    """Moving average of the weights at the ends of epochs, and what it was when another callback found its best."""

    def __init__(self, keep: KeepWeights) -> None:
        self.keep, self.now, self.chosen = keep, None, {}

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """After ``keep``."""
        new = self.keep.last_weights
        old = self.now or new
        self.now = {n: old[n] + 0.1 * (v - old[n]) if v.is_floating_point() else v for n, v in new.items()}
        if self.keep.best_epoch == trainer.current_epoch:
            self.chosen = self.now


def main() -> None:
    """Run what was asked for, then write the page."""
    arguments = _arguments()
    folder = arguments.data or data_folder()
    warnings.simplefilter("ignore")
    for seed, design, data in product(arguments.seeds, arguments.designs, arguments.sets):
        if (data, design, seed) not in table.runs(table.read(arguments.out, COLUMNS), RUN):
            rows = [
                (data, design, kept, seed, *score) for kept, *score in run(folder, data, design, seed, arguments.kept)
            ]
            rows = pd.DataFrame(rows, columns=COLUMNS)
            table.update(arguments.out, rows, [*SETS, *DESIGNS, *KEPT], RUN, COLUMNS)
            print(rows.pivot(index="metric", columns="kept", values="value").round(3).T, flush=True)


def run(folder: Path, data: str, design: str, seed: int, which: list[str]) -> list[tuple[str, str, float]]:
    """One training: kept epoch, metric and value."""
    from mmvae import MultiVAE

    data_set = SETS[data]
    mdata, held = cells_of(data_set.read(folder), data_set, seed, genes=GENES in data)
    MultiVAE.setup_mudata(training := inputs.selected(mdata, dict.fromkeys(mdata.mod, ~held)), batch_key=data_set.batch)
    settings, options = DESIGNS[design]
    model = MultiVAE(training, seed=seed, **settings)
    defaults = defaults_for(training.n_obs)
    given = {"epochs": options.get("max_epochs"), "size": options.get("batch_size")}
    schedule = schedule_for(int(0.9 * training.n_obs), defaults, **given, plan=options.get("plan_kwargs", {}))
    keeps = {
        name: KeepWeights(model.module, first)
        for name, first in {"start": schedule.early, "warm": schedule.late}.items()
    }
    start, averaged = time.perf_counter(), Averaged(keeps["start"])
    train(model, None, callbacks=[*keeps.values(), averaged], accelerator="cpu", enable_model_summary=False, **options)
    seconds = time.perf_counter() - start
    curve = model.history["objective_validation"].iloc[:, 0].astype(float)
    curve.to_csv(f"/tmp/epochs/curve_{data.replace(', ', '_')}_{design.replace(' ', '_')}_{seed}.csv")
    weights = {name: keep.chosen for name, keep in keeps.items()}
    weights |= {"averaged": averaged.chosen, "last": keeps["start"].last_weights}
    epochs = {name: keep.best_epoch for name, keep in keeps.items()} | {"last": len(curve) - 1}
    epochs["averaged"] = epochs["start"]
    done: dict[Any, dict[str, float]] = {}
    for kept in which:
        key = kept if kept == "averaged" else epochs[kept]
        if key not in done:
            model.module.load_state_dict(weights[kept])
            model.remember(shared=None)
            done[key] = scores(model, mdata, held, data_set)
        facts = {"epoch": epochs[kept], "epochs": len(curve), "seconds": seconds, "lowest": curve.min()}
        facts |= {"lowest epoch": curve.astype(float).argmin(), "objective": curve.iloc[epochs[kept]]}
        facts["gap"] = facts["objective"] - float(model.history["objective_train"].iloc[epochs[kept], 0])
        done[key] = facts | done[key]
    return [
        (kept, metric, value)
        for kept in which
        for metric, value in done[kept if kept == "averaged" else epochs[kept]].items()
    ]


def cells_of(mdata: MuData, data_set: DataSet, seed: int, *, genes: bool) -> tuple[MuData, np.ndarray]:
    """At most 20,000 cells, complete ones first, and which complete ones are held out, boolean, ``(C,)``."""
    rng = np.random.default_rng(seed)
    order = np.argsort(~inputs.presence(mdata).all(axis=1) + rng.random(mdata.n_obs))[:N_CELLS]
    kept = np.isin(np.arange(mdata.n_obs), order)
    mdata = inputs.selected(mdata, dict.fromkeys(mdata.mod, kept))
    if genes:
        chosen = dict(mdata.mod) | {"rna": mdata["rna"][:, most_variable(mdata["rna"].X)].copy()}
        obs, mdata = mdata.obs, inputs.joined(chosen)
        mdata.obs = obs
    return mdata, (rng.random(mdata.n_obs) < HELD_OUT) & inputs.presence(mdata).all(axis=1)


def scores(model: MultiVAE, mdata: MuData, held: np.ndarray, data_set: DataSet) -> dict[str, float]:
    """Of held-out cells bounds, imputation, and how alike the views through single modalities are; types of all cells."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    held = held & (np.cumsum(held) <= N_HELD)
    unseen = inputs.selected(mdata, dict.fromkeys(mdata.mod, held))
    found = bounds(model, unseen, N_DRAWS)
    found |= imputation(model, SimpleNamespace(held=unseen, truth={}))
    alone = {name: inputs.selected(mdata, {name: held}) for name in mdata.mod}
    for readout in ("unweighted", "shared"):
        views = [model.get_latent_representation(cells, representation=readout) for cells in alone.values()]
        found[f"foscttm {readout}"] = float(np.mean([foscttm(*pair) for pair in combinations(views, 2)]))
    return found | types(model, mdata, data_set)


def types(model: MultiVAE, mdata: MuData, data_set: DataSet) -> dict[str, float]:
    """How well types are kept apart in the latent of each modality, and in all together."""
    labels = mdata.obs[data_set.fine or data_set.labels].astype(str).to_numpy()
    known = inputs.presence(mdata).all(axis=1) & ~np.isin(labels, UNKNOWN)
    rows = np.random.default_rng(0).permutation(np.flatnonzero(known))[:N_LABELLED]
    marked = np.isin(np.arange(mdata.n_obs), rows)
    cells = inputs.selected(mdata, dict.fromkeys(mdata.mod, marked))
    labels = cells.obs[data_set.fine or data_set.labels].astype(str).to_numpy()
    readouts = [*mdata.mod, "unweighted"]
    embedded = {name: model.get_latent_representation(cells, representation=name) for name in readouts}
    return {f"types {name}": bio_conservation(latent, labels)["bio"] for name, latent in embedded.items()}


def _arguments() -> argparse.Namespace:
    made = parser("real_size", __doc__, STATIC / "real_size.csv")
    add = made.add_argument
    add("--sets", type=lambda text: text.split(";"), default=list(SETS))
    add("--designs", type=lambda text: text.split(";"), default=list(DESIGNS))
    add("--seeds", type=listed(int), default=[0, 1, 2])
    add("--kept", type=listed(known=KEPT), default=list(KEPT), help=f"of {', '.join(KEPT)}")
    return made.parse_args()


if __name__ == "__main__":
    main()
