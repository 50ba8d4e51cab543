"""Ridge regression, nearest neighbours and means of types, on log-normalised values.

C held-out cells, N others, G features, D components.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.linear_model import Ridge

from benchmarks import inputs
from benchmarks.methods.normalised import components
from mmvae.analysis import by_label, by_neighbors

from ._task import SOURCE, Prediction

if TYPE_CHECKING:
    from ._task import Task

PENALTIES = 10.0 ** np.arange(-1, 4.1, 0.5)
VALIDATED, N_CHOSEN = 0.1, 500


def ridge(task: Task) -> Prediction:
    """On 30 principal components of the rna and the batch, with the penalty that is best on a tenth of the other cells."""
    known, own = _source(task)
    logged = task.logged(task.counts(~task.held))
    rng = np.random.default_rng(task.seed)
    tested = rng.random(len(known)) < VALIDATED
    some = logged[:, rng.permutation(logged.shape[1])[:N_CHOSEN]]
    errors = [_error(known, some, tested, penalty) for penalty in PENALTIES]
    model = Ridge(PENALTIES[int(np.argmin(errors))]).fit(known, logged)
    return _as_counts(model.predict(own), logged, task)


def neighbors(task: Task) -> Prediction:
    """The mean of the 30 nearest other cells, by 30 principal components of the rna."""
    known, own = (values[:, : -len(_batches(task))] for values in _source(task))
    logged = task.logged(task.counts(~task.held))
    return _as_counts(by_neighbors(known, logged, own), logged, task)


def types(task: Task) -> Prediction:
    """The mean of the other cells of the same annotated type, which no method is given elsewhere."""
    labels = task.mdata.obs[task.data_set.labels].astype(str).to_numpy()
    logged = task.logged(task.counts(~task.held))
    return _as_counts(by_label(labels[~task.held], logged, labels[task.held]), logged, task)


def _batches(task: Task) -> np.ndarray:
    """Names of the batches."""
    return np.unique(_batch(task))


def _batch(task: Task) -> np.ndarray:
    name = task.data_set.batch
    return np.zeros(task.mdata.n_obs) if name is None else task.mdata.obs[name].astype(str).to_numpy()


def _source(task: Task) -> tuple[np.ndarray, np.ndarray]:
    """Components of the rna of all cells, and which batch they are of, for the other cells and the held-out ones."""
    blocks = components(inputs.selected(task.mdata, {SOURCE: np.ones(task.mdata.n_obs, dtype=bool)}))[SOURCE]
    values = np.hstack([blocks, _batch(task)[:, None] == _batches(task)[None]]).astype(np.float32)
    return values[~task.held], values[task.held]


def _error(known: np.ndarray, some: np.ndarray, tested: np.ndarray, penalty: float) -> float:
    """Mean squared error of the cells that are ``tested``."""
    predicted = Ridge(penalty).fit(known[~tested], some[~tested]).predict(known[tested])
    return float(((predicted - some[tested]) ** 2).mean())


def _as_counts(predicted: np.ndarray, logged: np.ndarray, task: Task) -> Prediction:
    """Shares are those that the logarithms say, each feature brought to the mean that it has in the other cells."""
    shares = np.expm1(np.maximum(predicted, 0.0)) / task.depth
    mean = np.expm1(logged).mean(axis=0) / task.depth
    own = shares.mean(axis=0)
    return Prediction(predicted, shares * np.where(own > 0, mean / np.where(own > 0, own, 1.0), 1.0))
