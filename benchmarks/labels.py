"""Labels of 10% of the cells: ``predict`` beside nearest neighbours in a latent that has seen no label.

``python -m benchmarks.labels --data FOLDER`` updates ``docs/_static/labels.csv`` after each run and writes the docs'
table with ``--page``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.metrics import f1_score
from sklearn.neighbors import KNeighborsClassifier

from . import markdown, table
from .commands import listed, parser
from .data import DATA_SETS, data_folder
from .paths import STATIC

if TYPE_CHECKING:
    import argparse

    from mudata import MuData

    from mmvae import MultiVAE

SETS = ("teaseq", "cite600")
SHARE = 0.1
UNLABELLED = "mog"
PRIORS = (UNLABELLED, "labels")
NEIGHBOURS = (1, 5, 15)
RUN = ["data", "seed", "prior", "method"]
SCORES = {"macro_f1": "macro-F1", "accuracy": "accuracy", "calibration_error": "calibration error"}
ORDER = [*SETS, *PRIORS, "predict", *[f"{k} nearest" for k in NEIGHBOURS]]
PART = "labels of some"
N_BINS = 15


def main() -> None:
    """Run what was asked for, then write the page."""
    arguments = _arguments()
    folder = arguments.data or data_folder()
    for data in arguments.sets:
        for seed in arguments.seeds:
            for prior in arguments.priors:
                rows = pd.DataFrame(run(DATA_SETS[data].read(folder), data, seed, prior))
                table.update(arguments.out, rows, ORDER, RUN, [*RUN, *SCORES])
                print(rows.to_string(index=False, header=False, float_format="%.3f"), flush=True)
    if arguments.page:
        arguments.page.parent.mkdir(parents=True, exist_ok=True)
        arguments.page.write_text(page(pd.read_csv(arguments.out)))


def run(mdata: MuData, data: str, seed: int, prior: str) -> list[dict[str, object]]:
    """Scores on the cells without a label, a row for each way to label them."""
    truth = mdata.obs[DATA_SETS[data].labels].astype(str).to_numpy()
    known = labelled(truth, seed)
    mdata.obs[PART] = pd.Series(truth, index=mdata.obs_names).where(known)
    model = _trained(mdata, data, seed, prior)
    soft = model.predict(soft=True)[~known]
    facts = {"data": data, "seed": seed, "prior": prior}
    rows = [facts | {"method": "predict"} | scores(truth[~known], soft)]
    if prior == UNLABELLED:  # its latent has not seen the labels
        latent = model.get_latent_representation()
        for k in NEIGHBOURS:
            found = KNeighborsClassifier(k).fit(latent[known], truth[known])
            soft = pd.DataFrame(found.predict_proba(latent[~known]), columns=found.classes_)
            rows.append(facts | {"method": f"{k} nearest"} | scores(truth[~known], soft))
    return rows


def labelled(truth: np.ndarray, seed: int) -> np.ndarray:
    """A tenth of the cells of each label, one at the least, boolean, ``(n_cells,)``."""
    rng = np.random.default_rng(seed)
    known = np.zeros(len(truth), dtype=bool)
    for label in np.unique(truth):
        cells = rng.permutation(np.flatnonzero(truth == label))
        known[cells[: max(1, round(SHARE * len(cells)))]] = True
    return known


def scores(truth: np.ndarray, soft: pd.DataFrame) -> dict[str, float]:
    """Macro-F1, accuracy, and the expected calibration error over 15 bins of the confidence."""
    guess = soft.idxmax(axis=1).to_numpy()
    confidence, right = soft.max(axis=1).to_numpy(), guess == truth
    bins = np.minimum((confidence * N_BINS).astype(int), N_BINS - 1)
    gaps = [(bins == b).mean() * abs(confidence[bins == b].mean() - right[bins == b].mean()) for b in np.unique(bins)]
    return {
        "macro_f1": float(f1_score(truth, guess, average="macro")),
        "accuracy": float(right.mean()),
        "calibration_error": float(sum(gaps)),
    }


def page(scored: pd.DataFrame) -> str:
    """A row for each data set and way, mean and standard deviation over seeds."""
    left = ["data", "latent", "labelled by"]
    lines = [[*left, *SCORES.values()]]
    for (data, prior, method), own in scored.groupby(["data", "prior", "method"], sort=False):
        lines.append([data, f"prior `{prior}`", method, *[markdown.spread(own[name]) for name in SCORES]])
    return markdown.table(lines, left) + "\n"


def _trained(mdata: MuData, data: str, seed: int, prior: str) -> MultiVAE:
    import torch

    from mmvae import MultiVAE

    MultiVAE.setup_mudata(mdata, batch_key=DATA_SETS[data].batch, labels_key=PART)
    model = MultiVAE(mdata, seed=seed, prior=prior)
    # Two threads that share a core with other work are slower than one; imports may have set more.
    torch.set_num_threads(1)
    model.train(enable_progress_bar=False)
    return model


def _arguments() -> argparse.Namespace:
    made = parser("labels", __doc__, STATIC / "labels.csv")
    add = made.add_argument
    add("--sets", type=listed(known=DATA_SETS), default=list(SETS), help="data sets, separated by commas")
    add("--seeds", type=listed(int), default=[0, 1, 2])
    add("--priors", type=listed(), default=list(PRIORS), help="names, separated by commas")
    add("--page", type=Path, help="Markdown file to write")
    return made.parse_args()


if __name__ == "__main__":
    main()
