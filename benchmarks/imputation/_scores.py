"""Scores of predictions. C held-out cells, G features."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp
from scipy.special import gammaln
from scipy.stats import rankdata

if TYPE_CHECKING:
    from ._task import Prediction, Task

# Cells that have to have a feature, and to lack it where open is told from closed.
MIN_CELLS = 10
DISPERSIONS = 10.0 ** np.arange(-1, 4.1, 0.5)
OF_MEAN, BLOCK = 0.01, 2_000
BINARY = "atac"


def scores(task: Task, predicted: Prediction) -> dict[str, float]:
    """Mean correlations over cells of features that 10 held-out cells have, AUROC where open or closed, ``nll``.

    ``nll``: negative log probability of all counts of a cell, in nats, as negative binomial about the predicted share of
    the cell's total, of which 1% is the mean share of other cells; the dispersion of each feature is the best one of
    the other half of the held-out cells.
    """
    counts = task.counts(task.held)
    truth = task.logged(counts)
    n_having = counts.values.getnnz(axis=0)
    columns = np.flatnonzero(n_having >= MIN_CELLS)
    parts = [_correlated(predicted.logged, truth, part) for part in _blocks(columns)]
    found = {
        name: float(np.mean(np.concatenate(own)))
        for name, own in zip(("pearson", "spearman"), zip(*parts, strict=True), strict=True)
    }
    if task.target == BINARY:
        columns = np.flatnonzero((n_having >= MIN_CELLS) & (len(truth) - n_having >= MIN_CELLS))
        found["auroc"] = float(np.mean(np.concatenate([_auroc(predicted.shares, truth, p) for p in _blocks(columns)])))
    return found | {"nll": _nll(task, predicted.shares, counts.values)} | predicted.scores


def _blocks(columns: np.ndarray) -> list[np.ndarray]:
    return np.array_split(columns, max(1, -(-len(columns) // BLOCK)))


def _correlated(predicted: np.ndarray, truth: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    one, two = predicted[:, columns].astype(np.float64), truth[:, columns].astype(np.float64)
    return _correlations(one, two), _correlations(rankdata(one, axis=0), rankdata(two, axis=0))


def _correlations(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Of columns; 0 where the first does not vary."""
    one, two = (values - values.mean(axis=0) for values in (one, two))
    norms = np.sqrt((one**2).sum(axis=0) * (two**2).sum(axis=0))
    return (one * two).sum(axis=0) / np.where(norms > 0, norms, np.inf)


def _auroc(shares: np.ndarray, truth: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Of columns, that a cell in which the feature is open has a larger share than one in which it is not."""
    ranks, is_open = rankdata(shares[:, columns], axis=0), truth[:, columns] > 0
    n_open = is_open.sum(axis=0)
    return ((ranks * is_open).sum(axis=0) - n_open * (n_open + 1) / 2) / (n_open * (len(truth) - n_open))


def _nll(task: Task, shares: np.ndarray, counts: sp.csr_matrix) -> float:
    mean = np.asarray(task.counts(~task.held).values.sum(axis=0)).ravel()
    shares = (1 - OF_MEAN) * shares / shares.sum(axis=1, keepdims=True) + OF_MEAN * (mean + 1) / (mean + 1).sum()
    totals = np.maximum(np.asarray(counts.sum(axis=1)), 1.0)
    found, halves = 0.0, np.arange(len(shares)) % 2
    for columns in _blocks(np.arange(shares.shape[1])):
        expected = (shares[:, columns] * totals).astype(np.float32)
        parts = [(sp.coo_matrix(counts[halves == half][:, columns]), expected[halves == half]) for half in (0, 1)]
        for own, other in (parts, parts[::-1]):
            fitted = np.stack([_log_probability(*other, np.full(len(columns), d)) for d in DISPERSIONS])
            found -= float(_log_probability(*own, DISPERSIONS[fitted.argmax(axis=0)]).sum())
    return found / len(shares)


def _log_probability(counts: sp.coo_matrix, mean: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """Of counts, as negative binomial, summed over cells, ``(G,)``."""
    theta = theta.astype(np.float32)
    of_zeros = -(theta * np.log1p(mean / theta)).sum(axis=0, dtype=np.float64)
    x, own, at = counts.data.astype(np.float64), theta[counts.col].astype(np.float64), mean[counts.row, counts.col]
    beyond = x * np.log(at / (own + at)) + gammaln(x + own) - gammaln(own) - gammaln(x + 1)
    return of_zeros + np.bincount(counts.col, beyond, minlength=len(theta))
