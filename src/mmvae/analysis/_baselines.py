"""What plain methods predict of one modality from others. N cells to learn from, C to predict, F features, D components."""

from collections.abc import Sequence

import numpy as np
from scipy.stats import rankdata
from sklearn.decomposition import PCA
from sklearn.linear_model import RidgeCV
from sklearn.neighbors import NearestNeighbors

N_COMPONENTS, N_NEIGHBORS = 30, 30
PENALTIES = tuple(10.0**k for k in np.arange(-1, 4.1, 0.5))


def components(values: np.ndarray, fitted_on: np.ndarray) -> np.ndarray:
    """Principal components of all cells, ``(N + C, D)``, of which the ``fitted_on`` make the axes."""
    n_components = min(N_COMPONENTS, len(fitted_on) - 1, values.shape[1])
    analysis = PCA(n_components, svd_solver="randomized", random_state=0).fit(values[fitted_on])
    return np.asarray(analysis.transform(values))


def by_ridge(known: np.ndarray, target: np.ndarray, others: np.ndarray) -> np.ndarray:
    """``(C, F)`` by linear regression of ``target``, ``(N, F)``, on components, its penalty by cross-validation."""
    return np.asarray(RidgeCV(PENALTIES).fit(known, target).predict(others)).reshape(len(others), -1)


def by_neighbors(known: np.ndarray, target: np.ndarray, others: np.ndarray) -> np.ndarray:
    """``(C, F)`` as the mean of the 30 nearest cells."""
    nearest = NearestNeighbors(n_neighbors=min(N_NEIGHBORS, len(known))).fit(known)
    # Cell by cell, as the neighbours of all of them are 30 times as many values.
    return np.stack([target[rows].mean(axis=0) for rows in nearest.kneighbors(others, return_distance=False)])


def by_label(known: np.ndarray, target: np.ndarray, others: np.ndarray) -> np.ndarray:
    """``(C, F)`` as the mean of the cells with the same label; of all cells where none has it."""
    means = {label: target[known == label].mean(axis=0) for label in np.unique(known)}
    overall = target.mean(axis=0)
    return np.array([means.get(label, overall) for label in others])


def correlations(predicted: np.ndarray, measured: np.ndarray, *, of_ranks: bool = False) -> np.ndarray:
    """Pearson's correlation over cells of each feature, ``(F,)``, or Spearman's.

    0 where the prediction does not vary, and NaN where what was measured does not.
    """
    if of_ranks:
        predicted, measured = (rankdata(values, axis=0) for values in (predicted, measured))
    one, two = (values - values.mean(axis=0) for values in (predicted, measured))
    products, first, second = (np.asarray((a * b).sum(axis=0)) for a, b in ((one, two), (one, one), (two, two)))
    norms = np.sqrt(first * second)
    return np.where(second > 0, products / np.where(norms > 0, norms, np.inf), np.nan)


def lead(predicted: np.ndarray, others: Sequence[np.ndarray], measured: np.ndarray) -> tuple[float, float]:
    """By how much ``predicted`` correlates better than the best of the others, and the standard error, by a jackknife."""
    means = [np.nanmean(correlations(other, measured)) for other in others]
    best = others[int(np.argmax(means))]
    folds = np.arange(len(measured)) % min(10, len(measured))
    ahead = [_ahead(predicted[f], best[f], measured[f]) for f in (folds != k for k in np.unique(folds))]
    n = len(ahead)
    return _ahead(predicted, best, measured), float(np.sqrt((n - 1) * np.var(ahead)))


def _ahead(one: np.ndarray, other: np.ndarray, measured: np.ndarray) -> float:
    return float(np.nanmean(correlations(one, measured) - correlations(other, measured)))
