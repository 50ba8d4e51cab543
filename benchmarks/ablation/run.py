"""One arm of the ladder on one split, in a process of its own.

``python -m benchmarks.ablation.run FOLDER DATA ARM SEED KL_SCALE EPOCHS RESULT`` writes a table of arm, metric and
value. EPOCHS is 0 for the model's default. An arm with a coupled prior gives the rows of its uncoupled twin, too.
"""

from __future__ import annotations

import random
import sys
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from benchmarks.training import limit_threads

from ._arms import CUT, build
from ._bounds import bounds, components, prior_fit
from ._embedding import embedding
from ._imputation import imputation
from ._model import uncouple
from ._split import split as split_of

if TYPE_CHECKING:
    from mmvae import MultiVAE

    from ._split import Split


def main(folder: str, data: str, arm: str, seed: str, kl_scale: str, epochs: str, result: str) -> None:
    """Train, score, write."""
    warnings.simplefilter("ignore")
    split = split_of(data, Path(folder), int(seed))
    model = build(arm, split.train, split.batch, int(seed), float(kl_scale))
    limit_threads()
    start = time.perf_counter()
    # All arms for the same number of epochs: where training stopped by itself, arms that are the same model differed by
    # a nat for having stopped at different ones. The weights are those of the best epoch.
    options = {"early_stopping": False, "enable_progress_bar": False, "enable_model_summary": False}
    model.train(int(epochs) or None, accelerator="cpu", **options)
    seconds = time.perf_counter() - start
    costs = {"seconds": seconds, "epochs": float(len(model.history_["elbo_train"])), "best_epoch": _best(model)}
    found = {arm: scores(model, split) | prior_fit(model, split.held) | components(model) | costs}
    for cut in (name for name, of in CUT.items() if of == arm):
        uncouple(model)
        found[cut] = scores(model, split)
    rows = [(name, metric, value) for name, own in found.items() for metric, value in own.items()]
    pd.DataFrame(rows, columns=["arm", "metric", "value"]).to_csv(result, index=False)


def scores(model: MultiVAE, split: Split) -> dict[str, float]:
    """What there is to say of any arm, in the same random numbers for each."""
    found: dict[str, float] = {}
    for score in (lambda: bounds(model, split.held), lambda: imputation(model, split), lambda: embedding(model, split)):
        random.seed(0)
        np.random.seed(0)
        torch.manual_seed(0)
        limit_threads()
        found |= score()
    return found


def _best(model: MultiVAE) -> float:
    return float("nan") if model.best_epoch_ is None else float(model.best_epoch_)


if __name__ == "__main__":
    main(*sys.argv[1:])
