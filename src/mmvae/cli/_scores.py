"""How well embeddings and predictions agree with the truth of simulated cells: C cells, D dimensions, F features."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.linear_model import RidgeCV
from sklearn.metrics import r2_score
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

if TYPE_CHECKING:
    import pandas as pd

FOLDS = 5
NEIGHBOURS = 15
PENALTIES = np.logspace(-2, 3, 6)


def recovered(embedding: np.ndarray, factors: np.ndarray) -> float:
    """Share of the variance of the true factors that a ridge regression on held-out cells explains."""
    guess = cross_val_predict(RidgeCV(PENALTIES), embedding, factors, cv=_folds())
    return float(r2_score(factors, guess))


def accuracy(embedding: np.ndarray, labels: pd.Series) -> float:
    """Share of held-out cells whose label their neighbours name."""
    names = labels.astype(str).to_numpy()
    guess = cross_val_predict(KNeighborsClassifier(NEIGHBOURS), embedding, names, cv=_folds())
    return float((guess == names).mean())


def mixing(embedding: np.ndarray, groups: pd.Series, within: pd.Series) -> float:
    """Neighbours of another group, within a label, over the number expected if groups were shuffled in it."""
    ratios: list[float] = []
    for label in within.unique():
        inside = (within == label).to_numpy()
        own = groups[inside].astype(str).to_numpy()
        names, codes, counts = np.unique(own, return_inverse=True, return_counts=True)
        if len(names) < 2 or len(own) <= NEIGHBOURS:
            continue
        near = NearestNeighbors(n_neighbors=NEIGHBOURS).fit(embedding[inside]).kneighbors(return_distance=False)
        other = (codes[near] != codes[:, None]).mean(axis=1)
        ratios.extend(other / (1 - (counts[codes] - 1) / (len(own) - 1)))
    return float(np.mean(ratios)) if ratios else float("nan")


def correlation(predicted: np.ndarray, rates: np.ndarray) -> float:
    """Pearson correlation over cells with the true rates of each feature, median over features.

    Cells are brought to shares first: the true rates of a cell sum to 1.
    """
    shares = predicted / predicted.sum(axis=1, keepdims=True)
    left, right = (values - values.mean(axis=0) for values in (shares, rates))
    norms = np.linalg.norm(left, axis=0) * np.linalg.norm(right, axis=0)
    return float(np.median((left * right).sum(axis=0) / np.maximum(norms, np.finfo(float).tiny)))


def _folds() -> KFold:
    return KFold(FOLDS, shuffle=True, random_state=0)
