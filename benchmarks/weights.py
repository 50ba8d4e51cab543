"""How the fused latent weighs modalities: the rule beside others, and beside each modality alone.

``python -m benchmarks.weights --data FOLDER`` trains mmvae with its defaults on each set, and scores the latents of one
training under each rule: what differs is the readout alone. It updates ``docs/_static/weights.csv`` after each training;
those that the table has are skipped. ``--page`` writes the docs' table.

Every block has variance 1 before it is weighed. The rules are ``weight`` (what ``"fused"`` has), ``reliability`` (split
halves of the features), ``agreement`` (with another modality), and ``equal``. Scores are of 3,000 cells, drawn at random,
where there are more.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from . import inputs, markdown, table, tasks
from .commands import listed, parser
from .data import DATA_SETS, data_folder
from .paths import STATIC
from .scores.embedding import bio_conservation
from .training import train

if TYPE_CHECKING:
    import argparse

    from benchmarks.tasks import Problem
    from mmvae import MultiVAE


class Case(NamedTuple):
    """A data set, a task, and the markers of its panel that are kept, all by default."""

    data: str
    task: str = tasks.COMPLETE
    markers: tuple[str, ...] = ()

    def read(self, folder: Path, seed: int) -> Problem:
        """The cells as the model is given them."""
        mdata = DATA_SETS[self.data].read(folder)
        if self.markers:
            panel = mdata.mod["protein"]
            kept = panel.var_names.str.removeprefix("prot_").isin(self.markers)
            mdata = inputs.joined(dict(mdata.mod) | {"protein": panel[:, kept].copy()})
        return tasks.problem(mdata, DATA_SETS[self.data], self.task, seed)


# Those that the twelve studies of benchmarks.atlas share.
NINE = ("CD3", "CD4", "CD8a", "CD14", "CD19", "CD25", "CD45RA", "CD56", "CD127")
CASES = {
    "pbmc10k": Case("pbmc10k"),
    "pbmc10k (9 markers)": Case("pbmc10k", markers=NINE),
    "pbmc10k (2 markers)": Case("pbmc10k", markers=("CD4", "CD8a")),
    "pbmc10k (30% lose one)": Case("pbmc10k", "mosaic30"),
    "snareseq": Case("snareseq"),
    "teaseq": Case("teaseq"),
    "cite600": Case("cite600"),
    "cite600 (30% lose one)": Case("cite600", "mosaic30"),
    "multiome500": Case("multiome500"),
    "trimodal": Case("trimodal"),
    "tcga": Case("tcga"),
}
RULES = ("weight", "reliability", "agreement", "equal")
ALONE = "best modality alone"
N_SCORED = 3_000
RUN = ["data", "seed"]
COLUMNS = [*RUN, "method", "labels", "value", "weights", "note"]


def main() -> None:
    """Run what was asked for, then write the page."""
    arguments = _arguments()
    folder = arguments.data or data_folder()
    for seed in arguments.seeds:
        for case in arguments.cases:
            if (case, seed) not in _done(arguments.out):
                rows = pd.DataFrame(run(CASES[case].read(folder, seed))).assign(data=case, seed=seed, note="")
                table.update(arguments.out, rows.reindex(columns=COLUMNS), list(CASES), RUN, COLUMNS)
                print(rows.to_string(index=False, header=False, float_format="%.3f"), flush=True)
    if arguments.page:
        arguments.page.write_text(page(table.read(arguments.out, COLUMNS)))


def run(problem: Problem) -> list[dict[str, Any]]:
    """Scores of one training, a row for each rule and modality, and column of labels."""
    from mmvae import MultiVAE

    mdata, data_set = problem.mdata, problem.data_set
    MultiVAE.setup_mudata(mdata, batch_key=data_set.batch)
    model = MultiVAE(mdata, seed=problem.seed)
    train(model, problem.budget)
    rows, found = [], latents(model)
    for column in filter(None, (data_set.labels, data_set.fine)):
        labels = mdata.obs[column].astype(str).to_numpy()
        cells = np.flatnonzero(~np.isin(labels, data_set.unknown))
        cells = np.random.default_rng(0).permutation(cells)[:N_SCORED]
        for method, (weights, latent) in found.items():
            bio = bio_conservation(latent[cells], labels[cells])["bio"]
            rows.append({"method": method, "labels": column, "value": bio, "weights": weights})
    return rows


def latents(model: MultiVAE) -> dict[str, tuple[str, np.ndarray]]:
    """By rule and modality the weights in words, and the latent, ``(n_cells, n_dimensions)``."""
    found = model.get_modality_weights().assign(equal=1.0)
    blocks = _blocks(model)
    weighed = {rule: found[rule].fillna(0).clip(0.01) for rule in RULES}
    weighed |= {name: (found.index == name) * found["equal"] for name in blocks}
    return {
        rule: (_words(own), np.concatenate([own[name] * block for name, block in blocks.items() if own[name]], axis=1))
        for rule, own in weighed.items()
    }


def page(found: pd.DataFrame) -> str:
    """A line for each set and column of labels, and a mean of each rule over lines."""
    lines, means = [["data", "labels", "weights of a seed", *RULES, ALONE]], []
    for (data, labels), own in found.groupby(["data", "labels"], sort=False):
        by_method = own.groupby("method")["value"]
        alone = max(set(own["method"]) - set(RULES), key=lambda name: by_method.get_group(name).mean())
        values = [by_method.get_group(name).to_numpy() for name in (*RULES, alone)]
        means.append([value.mean() for value in values])
        cells = [markdown.spread(value) for value in values]
        lines.append([data, labels, own.loc[own["method"] == "weight", "weights"].iloc[0], *cells[:-1]])
        lines[-1].append(f"{cells[-1]} ({alone})")
    lines.append(["*mean*", "", "", *[f"{value:.3f}" for value in np.mean(means, axis=0)]])
    return markdown.table(lines, lines[0][:3]) + "\n"


def _blocks(model: MultiVAE) -> dict[str, np.ndarray]:
    """What the decoders read of each modality, its draws at variance 1."""
    import torch

    latent = torch.as_tensor(model.get_latent_representation(modality="unweighted"))
    scale = model.memory.scale
    return {name: (part / scale[name]).numpy() for name, part in model.module.fusion.split(latent).items()}


def _words(weights: pd.Series) -> str:
    return ", ".join(f"{name} {weight:.2f}" for name, weight in weights.items())


def _done(path: Path) -> set[tuple[Any, ...]]:
    return table.runs(table.read(path, COLUMNS), RUN)


def _arguments() -> argparse.Namespace:
    made = parser("weights", __doc__, STATIC / "weights.csv")
    add = made.add_argument
    names = ", ".join(CASES).replace("%", "%%")
    add("--cases", type=listed(known=CASES), default=list(CASES), help=f"of {names}")
    add("--seeds", type=listed(int), default=[0, 1, 2])
    add("--page", type=Path, help="Markdown file to write")
    return made.parse_args()


if __name__ == "__main__":
    main()
