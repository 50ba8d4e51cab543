"""Classifier two-sample test: N draws in each sample, D dimensions."""

import numpy as np
from scipy.special import logit
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

CLOSE, ROUGHLY = 0.6, 0.75
MIN_CELLS = 50
N_FOLDS = 3

VERDICTS = {
    "close": "close: draws of the prior are hardly distinguishable from cells",
    "roughly": "roughly: draws of the prior resemble cells, but are not where cells are in every detail",
    "differs": "differs: draws of the prior are not where cells are; trust neither samples nor outlier scores much",
}
JOINT_VERDICTS = {
    "close": "close: draws of all latents together are hardly distinguishable from cells",
    "roughly": "roughly: the priors miss some of how the modalities' latents go together",
    "differs": "differs: the priors do not know how the modalities' latents go together; drawn at once they make no cell",
}
UNTESTED = f"not tested: fewer than {MIN_CELLS} cells"


def two_sample_auc(first: np.ndarray, second: np.ndarray, seed: int = 0) -> float:
    """Cross-validated AUC of a classifier that distinguishes two samples; 0.5: not at all; 1: always.

    The score is the mean log-odds of a logistic regression on the dimensions, their squares and products, which sees
    places, spreads and correlations, and of gradient-boosted trees, which see shapes. Under 0.5 is chance.

    Parameters
    ----------
    first, second
        The samples, ``(N, D)``.
    seed
        Of the folds and the trees.

    Returns
    -------
    The AUC; NaN with fewer than 50 draws in either sample.
    """
    if min(len(first), len(second)) < MIN_CELLS:
        return float("nan")
    values = np.concatenate([first, second])
    origin = np.repeat([0, 1], [len(first), len(second)])
    quadratic = make_pipeline(
        StandardScaler(),
        PolynomialFeatures(2, include_bias=False),
        StandardScaler(),
        LogisticRegression(C=0.01, max_iter=1_000),
    )
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
        return UNTESTED
    word = "close" if auc < CLOSE else "roughly" if auc < ROUGHLY else "differs"
    return (JOINT_VERDICTS if joint else VERDICTS)[word]
