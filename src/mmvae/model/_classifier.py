"""Discriminant analysis with calibrated probabilities. N labelled cells, D features, Y labels."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.special import log_softmax, softmax
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

# Temperatures to choose from.
TEMPERATURES = tuple(2.0**k for k in np.arange(-2, 4.01, 0.25))
N_FOLDS = 5
# Probability of a label that a fold's training cells lack.
UNSEEN = 1e-3


@dataclass(frozen=True)
class Classifier:
    r""":math:`p(y \mid x) \propto (\pi_y N(x; \mu_y, \Sigma))^{1/T}`, a linear discriminant analysis.

    A Gaussian for each label, with one covariance for all, shrunk as :cite:t:`Ledoit2004` say, so that a few cells of a
    label are enough. The temperature T is that of the best held-out likelihood in 5-fold cross-validation, so that
    probabilities mean what they say :cite:p:`Guo2017`. scikit-learn's own calibration needs every label in every
    fold, which a few labelled cells do not give.
    """

    analysis: LinearDiscriminantAnalysis
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
            Their labels as codes, ``(N,)``; at least two different ones, and fewer than cells.
        n_labels
            Number of labels, Y.
        """
        logits = _held_out(values, codes, n_labels)
        temperature = min(TEMPERATURES, key=lambda t: _cost(logits / t, codes))
        return cls(_analysis(values, codes), temperature, n_labels)

    def probabilities(self, values: np.ndarray) -> np.ndarray:
        """Probability of each label, ``(n_cells, Y)``."""
        return softmax(_logits(self.analysis, values, self.n_labels) / self.temperature, axis=1)


def _analysis(values: np.ndarray, codes: np.ndarray) -> LinearDiscriminantAnalysis:
    with warnings.catch_warnings():
        # A label of one cell adds nothing to the covariance, of which scikit-learn warns.
        warnings.filterwarnings("ignore", message="Only one sample available")
        return LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(values.astype(np.float64), codes)


def _held_out(values: np.ndarray, codes: np.ndarray, n_labels: int) -> np.ndarray:
    """Logits of each cell from an analysis that did not see it, ``(N, Y)``; all alike where the others are too few."""
    fold = np.random.default_rng(0).permutation(len(codes)) % N_FOLDS
    logits = np.full((len(codes), n_labels), np.log(UNSEEN))
    for k in range(N_FOLDS):
        train, test = fold != k, fold == k
        if 1 < len(np.unique(codes[train])) < train.sum() and test.any():
            logits[test] = _logits(_analysis(values[train], codes[train]), values[test], n_labels)
    return logits


def _logits(analysis: LinearDiscriminantAnalysis, values: np.ndarray, n_labels: int) -> np.ndarray:
    logits = np.full((len(values), n_labels), np.log(UNSEEN))
    logits[:, analysis.classes_] = analysis.predict_log_proba(values.astype(np.float64))
    return logits


def _cost(logits: np.ndarray, codes: np.ndarray) -> float:
    return float(-log_softmax(logits, axis=1)[np.arange(len(codes)), codes].mean())
