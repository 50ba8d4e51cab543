"""Multinomial regression with calibrated probabilities. N labelled cells, D features, Y labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.special import log_softmax, softmax
from sklearn.linear_model import LogisticRegression

# Inverse penalties of the weights, and temperatures, to choose from.
STRENGTHS = tuple(10.0**k for k in np.arange(-2, 1.6, 0.5))
TEMPERATURES = tuple(2.0**k for k in np.arange(-2, 2.01, 0.25))
N_FOLDS = 5
# Probability of a label that a fold's training cells lack.
UNSEEN = 1e-3


@dataclass(frozen=True)
class Classifier:
    r""":math:`p(y \mid x) \propto p_{\mathrm{LR}}(y \mid x)^{1/T}`, a logistic regression on standardised features.

    Its penalty and the temperature T are those of the best held-out likelihood in 5-fold cross-validation, so that
    probabilities mean what they say :cite:p:`Guo2017`. scikit-learn's own calibration needs every label in every
    fold, which a few labelled cells do not give.
    """

    mean: np.ndarray
    scale: np.ndarray
    regression: LogisticRegression
    temperature: float
    n_labels: int

    @classmethod
    def fit(cls, values: np.ndarray, codes: np.ndarray, n_labels: int) -> Self:
        """Fit to labelled cells.

        Parameters
        ----------
        values
            Features, ``(N, D)``.
        codes
            Their labels as codes, ``(N,)``; at least two different ones.
        n_labels
            Number of labels, Y.
        """
        mean, scale = values.mean(axis=0), values.std(axis=0) + 1e-6
        standardised = (values - mean) / scale
        costs: dict[tuple[float, float], float] = {}
        for strength in STRENGTHS:
            logits = _held_out(standardised, codes, n_labels, strength)
            costs |= {(strength, t): _cost(logits / t, codes) for t in TEMPERATURES}
        strength, temperature = min(costs, key=lambda key: costs[key])
        return cls(mean, scale, _regression(standardised, codes, strength), temperature, n_labels)

    def probabilities(self, values: np.ndarray) -> np.ndarray:
        """Probability of each label, ``(n_cells, Y)``."""
        logits = _logits(self.regression, (values - self.mean) / self.scale, self.n_labels)
        return softmax(logits / self.temperature, axis=1)


def _regression(values: np.ndarray, codes: np.ndarray, strength: float) -> LogisticRegression:
    return LogisticRegression(C=strength, max_iter=2_000).fit(values, codes)


def _held_out(values: np.ndarray, codes: np.ndarray, n_labels: int, strength: float) -> np.ndarray:
    """Logits of each cell from a regression that did not see it, ``(N, Y)``."""
    fold = np.random.default_rng(0).permutation(len(codes)) % N_FOLDS
    logits = np.full((len(codes), n_labels), np.log(UNSEEN))
    for k in range(N_FOLDS):
        if len(np.unique(codes[fold != k])) > 1 and (fold == k).any():
            logits[fold == k] = _logits(
                _regression(values[fold != k], codes[fold != k], strength), values[fold == k], n_labels
            )
    return logits


def _logits(regression: LogisticRegression, values: np.ndarray, n_labels: int) -> np.ndarray:
    logits = np.full((len(values), n_labels), np.log(UNSEEN))
    logits[:, regression.classes_] = regression.predict_log_proba(values)
    return logits


def _cost(logits: np.ndarray, codes: np.ndarray) -> float:
    return float(-log_softmax(logits, axis=1)[np.arange(len(codes)), codes].mean())
