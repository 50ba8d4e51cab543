"""Scores of latents and their priors: outliers, a two-sample test. C cells, M modalities, D dimensions."""

import numpy as np
from scipy.special import logit
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

MIN_CELLS = 50
N_FOLDS = 3
CLOSE, ROUGHLY = 0.6, 0.75
VERDICTS = {
    "close": "draws of the prior are hardly distinguishable from cells",
    "roughly": "draws of the prior resemble cells, but are not where cells are in every detail",
    "differs": "draws of the prior are not where cells are; trust neither samples nor outlier scores much",
}
JOINT_VERDICTS = {
    "close": "draws of all latents together are hardly distinguishable from cells",
    "roughly": "the priors miss some of how the modalities' latents go together",
    "differs": "the priors do not know how the modalities' latents go together; drawn at once they make no cell",
}


def outlier_share(energy: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Rank of each cell's negative log prior density among reference cells, 0 to 1, ``(n_cells,)``.

    Both are in nats, ``(n_cells, M)`` and ``(n_reference, M)``, NaN where a cell lacks a modality. A cell's density is
    that of all modalities that it has, and it is ranked among the reference cells that have these too, by the same
    modalities: cells are compared on what they have in common. Where fewer than 50 reference cells have all of them, it
    is the mean of its ranks by each. Modalities that no reference cell has are left aside; the rank is NaN without any.
    """
    available = ~np.isnan(reference)
    present = ~np.isnan(energy) & available.any(axis=0)
    share = np.full(len(energy), np.nan)
    for pattern in np.unique(present, axis=0):
        if not pattern.any():
            continue
        cells = (present == pattern).all(axis=1)
        alike = available[:, pattern].all(axis=1)
        if alike.sum() >= MIN_CELLS or pattern.sum() == 1:
            total = energy[cells][:, pattern].sum(axis=1)
            share[cells] = _rank(total, reference[alike][:, pattern].sum(axis=1))
        else:
            ranks = [_rank(energy[cells, m], reference[available[:, m], m]) for m in np.flatnonzero(pattern)]
            share[cells] = np.mean(ranks, axis=0)
    return share


def _rank(values: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Share of ``reference`` that is smaller, ties counted half."""
    ordered = np.sort(reference)
    below = np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")
    return below / (2 * len(ordered))


def two_sample_auc(first: np.ndarray, second: np.ndarray, seed: int = 0) -> float:
    """Cross-validated AUC of a classifier that distinguishes two samples, each ``(N, D)``; 0.5: not at all; 1: always.

    The score is the mean log-odds of a logistic regression on the dimensions, their squares and products, which sees
    places, spreads and correlations, and of gradient-boosted trees, which see shapes. Under 0.5 is chance. NaN with
    fewer than 50 draws in either sample. The ``seed`` is that of the folds and the trees.
    """
    if min(len(first), len(second)) < MIN_CELLS:
        return float("nan")
    values = np.concatenate([first, second])
    origin = np.repeat([0, 1], [len(first), len(second)])
    features = [StandardScaler(), PolynomialFeatures(2, include_bias=False), StandardScaler()]
    quadratic = make_pipeline(*features, LogisticRegression(C=0.01, max_iter=1_000))
    trees = HistGradientBoostingClassifier(max_leaf_nodes=15, early_stopping=False, random_state=seed)
    folds = StratifiedKFold(N_FOLDS, shuffle=True, random_state=seed)
    log_odds = np.zeros(len(values))
    for classifier in (quadratic, trees):
        found = cross_val_predict(classifier, values, origin, cv=folds, method="predict_proba")[:, 1]
        log_odds += logit(found.clip(1e-4, 1 - 1e-4))
    return float(roc_auc_score(origin, log_odds))


def verdict(auc: float, *, joint: bool) -> str:
    """An AUC in words: below 0.6 close, below 0.75 roughly, else differs."""
    if np.isnan(auc):
        return f"not tested: fewer than {MIN_CELLS} cells"
    word = "close" if auc < CLOSE else "roughly" if auc < ROUGHLY else "differs"
    return f"{word}: {(JOINT_VERDICTS if joint else VERDICTS)[word]}"
