"""Which epoch to keep and what keeps cells from being learnt by heart: one change at a time, scored on held-out cells.

``python -m benchmarks.ablation.real_size --data FOLDER`` trains each of ``DESIGNS`` on four fifths of the cells of each data set
and updates ``docs/_static/real_size.csv`` after each run; runs that the table has are skipped. ``--page`` writes the
docs' table. Of one training the weights of several epochs are scored, ``KEPT``.
"""

from __future__ import annotations

import random
import time
import warnings
from itertools import combinations, product
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scanpy as sc
import torch
from lightning.pytorch.callbacks import Callback

from benchmarks import inputs, markdown, table
from benchmarks.commands import listed, parser
from benchmarks.data import DATA_SETS, DataSet, data_folder
from benchmarks.paths import STATIC
from benchmarks.scores.embedding import bio_conservation
from benchmarks.scores.mosaic import foscttm
from benchmarks.training import train
from mmvae.train import KeepWeights, defaults_for, schedule_for

from ._bounds import bounds
from ._imputation import imputation

if TYPE_CHECKING:
    import argparse

    from mudata import MuData

    from mmvae import MultiVAE

HELD_OUT, N_HELD, N_LABELLED, N_CELLS, N_DRAWS, AVERAGED_EPOCHS = 0.2, 1_000, 2_000, 20_000, 8, 10
N_GENES = 2_000
UNKNOWN = ("Mis", "unlabelled", "undefined", "none", "nan")
RUN = ["data", "design", "seed"]
COLUMNS = [*RUN, "kept", "metric", "value"]
VARIABLE = "teaseq2000"
SETS = {
    "multiome500": DATA_SETS["multiome500"],
    "cite600": DATA_SETS["cite600"],
    VARIABLE: DATA_SETS["teaseq"],
    "teaseq": DATA_SETS["teaseq"],
    "pbmc10k": DataSet("citeseq_pbmc10k_paired.h5mu", "adtnorm_l2"),
    "snareseq": DATA_SETS["snareseq"],
    "studies": DataSet("adt_12studies_rna_bridge_mosaic.h5mu", "cell_type_fine", "batch"),
}
NO_PRIOR = {"plan_kwargs": {"loading_sd": None}}
# Arguments of the model, and of its training.
DESIGNS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "default": ({}, {}),
    "no loading prior": ({}, NO_PRIOR),
    "no loading prior + dropout 0.3": ({"dropout_rate": 0.3}, NO_PRIOR),
    "no loading prior + input dropout 0.3": ({"input_dropout": 0.3}, NO_PRIOR),
    "no loading prior + lr 5e-4": ({}, NO_PRIOR | {"lr": 5e-4}),
    "loading_sd 0.5": ({}, {"plan_kwargs": {"loading_sd": 0.5}}),
    "loading_sd 2": ({}, {"plan_kwargs": {"loading_sd": 2.0}}),
    "loading_sd 2 + input dropout 0.3": ({"input_dropout": 0.3}, {"plan_kwargs": {"loading_sd": 2.0}}),
    "input dropout 0.3": ({"input_dropout": 0.3}, {}),
    "input dropout 0.3 of rna": ({"input_dropout": {"rna": 0.3}}, {}),
    "n_latent 20": ({"n_latent": 20}, {}),
    "n_hidden 256": ({"n_hidden": 256}, {}),
    "n_layers 1": ({"n_layers": 1}, {}),
    "batch_size 256": ({}, {"batch_size": 256}),
    "warm-up of 100 steps": ({}, {"plan_kwargs": {"n_steps_kl_warmup": 100}}),
}
KEPT = {
    "warm": "best since the KL warmed up",
    "start": "best since the priors started",
    "averaged": "that, averaged over epochs",
    "last": "last",
}
TITLES = {
    "epoch": "epoch",
    "lowest epoch": "best of all epochs",
    "elbo": "ELBO",
    "iwae": "IWAE",
    "gap": "train to validation",
    "pearson_rna": "imputed rna",
    "pearson_protein": "imputed protein",
    "pearson_atac": "imputed atac",
    "foscttm": "FOSCTTM",
    "types rna": "types by rna",
    "types protein": "by protein",
    "types atac": "by atac",
    "types unweighted": "by both",
}
DIGITS = {"epoch": 0, "lowest epoch": 0, "elbo": 1, "iwae": 1, "gap": 1}


class Averaged(Callback):
    """Moving average of the weights at the ends of epochs; ``chosen`` is what it was when ``keep`` found its best."""

    def __init__(self, keep: KeepWeights) -> None:
        self.keep = keep
        self.now: dict[str, Any] = {}
        self.chosen: dict[str, Any] = {}

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Called after that of ``keep``, which has the weights."""
        new = self.keep.last_weights
        old = self.now or new
        step = 1 / AVERAGED_EPOCHS
        self.now = {n: old[n] + step * (v - old[n]) if v.is_floating_point() else v for n, v in new.items()}
        if self.keep.best_epoch == trainer.current_epoch:
            self.chosen = self.now


def main() -> None:
    """Run what was asked for, then write the page."""
    arguments = _arguments()
    folder = arguments.data or data_folder()
    warnings.simplefilter("ignore")
    for seed, design, data in product(arguments.seeds, arguments.designs, arguments.sets):
        is_new = (data, design, seed) not in table.runs(table.read(arguments.out, COLUMNS), RUN)
        if is_new and (folder / SETS[data].file).exists():
            scored = run(folder, data, design, seed, arguments.kept)
            rows = pd.DataFrame([(data, design, seed, *row) for row in scored], columns=COLUMNS)
            table.update(arguments.out, rows, [*SETS, *DESIGNS], RUN, COLUMNS)
            print(data, design, seed, flush=True)
    if arguments.page:
        arguments.page.write_text(page(table.read(arguments.out, COLUMNS)))


def run(folder: Path, data: str, design: str, seed: int, kept: list[str]) -> list[tuple[str, str, float]]:
    """Kept epoch, metric and value of one training."""
    from mmvae import MultiVAE

    data_set, (settings, options) = SETS[data], DESIGNS[design]
    mdata, held = cells_of(data_set.read(folder), seed, variable=data == VARIABLE)
    training = inputs.selected(mdata, dict.fromkeys(mdata.mod, ~held))
    MultiVAE.setup_mudata(training, batch_key=data_set.batch)
    model = MultiVAE(training, seed=seed, **settings)
    found, start = [], time.perf_counter()
    weights, epochs = trained(model, options)
    shared = {"seconds": time.perf_counter() - start}
    for name in kept:
        model.module.load_state_dict(weights[name])
        model.remember(shared=None)
        own = shared | facts(model, epochs[name]) | scores(model, mdata, held, data_set)
        found += [(name, metric, value) for metric, value in own.items()]
    return found


def trained(model: MultiVAE, options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, int]]:
    """Weights and number of each epoch of ``KEPT``."""
    n_cells = model.adata.n_obs
    plan, size = options.get("plan_kwargs", {}), options.get("batch_size")
    schedule = schedule_for(int(0.9 * n_cells), defaults_for(n_cells), options.get("max_epochs"), size, plan)
    start, warm = (KeepWeights(model.module, first) for first in (schedule.early, schedule.late))
    averaged = Averaged(start)
    silent = {"accelerator": "cpu", "enable_model_summary": False}
    train(model, None, callbacks=[start, warm, averaged], **silent, **options)
    weights = {"warm": warm.chosen, "start": start.chosen, "averaged": averaged.chosen, "last": start.last_weights}
    epochs = {"warm": warm.best_epoch, "start": start.best_epoch, "averaged": start.best_epoch, "last": warm.epoch - 1}
    return weights, epochs


def facts(model: MultiVAE, epoch: int) -> dict[str, float]:
    """Where on its curve an epoch lies, in nats of the validation cells."""
    train, curve = (model.history[f"objective_{part}"].iloc[:, 0].astype(float) for part in ("train", "validation"))
    value, lowest = float(curve.iloc[epoch]), float(curve.min())
    places = {"epoch": epoch, "epochs": len(curve), "lowest epoch": int(curve.argmin())}
    return places | {"objective": value, "lowest": lowest, "gap": value - float(train.iloc[epoch])}


def cells_of(mdata: MuData, seed: int, *, variable: bool) -> tuple[MuData, np.ndarray]:
    """At most 20,000 cells, complete ones first, and which of the complete ones are held out, boolean, ``(C,)``."""
    rng = np.random.default_rng(seed)
    order = np.argsort(~inputs.presence(mdata).all(axis=1) + rng.random(mdata.n_obs))[:N_CELLS]
    mdata = inputs.selected(mdata, dict.fromkeys(mdata.mod, np.isin(np.arange(mdata.n_obs), order)))
    if variable:
        variable_genes = sc.pp.highly_variable_genes(
            mdata["rna"], flavor="seurat_v3", n_top_genes=N_GENES, inplace=False
        )
        mdata.mod["rna"] = mdata["rna"][:, variable_genes["highly_variable"].to_numpy()].copy()
        mdata = inputs.selected(mdata, dict.fromkeys(mdata.mod, np.ones(mdata.n_obs, dtype=bool)))
    return mdata, (rng.random(mdata.n_obs) < HELD_OUT) & inputs.presence(mdata).all(axis=1)


def scores(model: MultiVAE, mdata: MuData, held: np.ndarray, data_set: DataSet) -> dict[str, float]:
    """Of held-out cells bounds, imputation and how near their views through one modality are; types of all cells."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    held = held & (np.cumsum(held) <= N_HELD)
    unseen = inputs.selected(mdata, dict.fromkeys(mdata.mod, held))
    found = bounds(model, unseen, N_DRAWS) | imputation(model, SimpleNamespace(held=unseen, truth={}))
    alone = [inputs.selected(mdata, {name: held}) for name in mdata.mod]
    for metric, readout in {"foscttm": "unweighted", "foscttm shared": "shared"}.items():
        views = [model.get_latent_representation(cells, modality=readout) for cells in alone]
        found[metric] = float(np.mean([foscttm(*pair) for pair in combinations(views, 2)]))
    return found | types(model, mdata, data_set)


def types(model: MultiVAE, mdata: MuData, data_set: DataSet) -> dict[str, float]:
    """How well types are kept apart in the latent of each modality, and in all together."""
    column = data_set.fine or data_set.labels
    known = ~mdata.obs[column].astype(str).isin(UNKNOWN).to_numpy() & inputs.presence(mdata).all(axis=1)
    rows = np.random.default_rng(0).permutation(np.flatnonzero(known))[:N_LABELLED]
    cells = inputs.selected(mdata, dict.fromkeys(mdata.mod, np.isin(np.arange(mdata.n_obs), rows)))
    labels, found = cells.obs[column].astype(str).to_numpy(), {}
    for readout in (*mdata.mod, "unweighted"):
        latent = model.get_latent_representation(cells, modality=readout)
        found[f"types {readout}"] = bio_conservation(latent, labels)["bio"]
    return found


def page(scores: pd.DataFrame) -> str:
    """A table for each data set: a row for each design and each epoch that differs, mean and standard deviation over seeds."""
    parts = [f"{name}:\n\n{_table(scores[scores['data'] == name])}" for name in SETS if name in set(scores["data"])]
    return "\n\n".join(parts) + "\n"


def _table(scores: pd.DataFrame) -> str:
    metrics = [metric for metric in TITLES if metric in set(scores["metric"])]
    lines = [["design", "weights", "seeds", *(TITLES[metric] for metric in metrics)]]
    by_kept = {key: own.set_index("metric")["value"] for key, own in scores.groupby(["design", "kept"], sort=False)}
    for design, kept in product(scores["design"].unique(), KEPT):
        own, first = by_kept.get((design, kept)), by_kept.get((design, next(iter(KEPT))))
        if own is not None and (
            first is None or own is first or kept == "averaged" or list(own[["epoch"]]) != list(first[["epoch"]])
        ):
            cells = [markdown.spread(own[own.index == metric].to_numpy(), DIGITS.get(metric, 3)) for metric in metrics]
            lines.append([design, KEPT[kept], str(len(own[["epoch"]])), *cells])
    return markdown.table(lines, ["design", "weights"])


def _arguments() -> argparse.Namespace:
    made = parser("ablation.real_size", __doc__, STATIC / "real_size.csv")
    add = made.add_argument
    add("--sets", type=listed(known=SETS), default=list(SETS), help="data sets, separated by commas")
    add("--designs", type=listed(known=DESIGNS), default=list(DESIGNS), help="names, separated by commas")
    add("--seeds", type=listed(int), default=[0, 1, 2])
    add("--kept", type=listed(known=KEPT), default=list(KEPT), help=f"of {', '.join(KEPT)}")
    add("--page", type=Path, help="Markdown file to write")
    return made.parse_args()


if __name__ == "__main__":
    main()
