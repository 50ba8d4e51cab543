"""Discriminant analysis with calibrated probabilities. N labelled cells, D features, Y labels."""

import warnings
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.special import softmax
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

# Cells to learn from: more of one label than its share of these teach the analysis nothing new, and cost time.
MAX_CELLS = 5_000
MIN_PER_LABEL = 50
# Temperatures to choose from, 1 first, which stays if there is nothing to choose by.
TEMPERATURES = (1.0, *(2.0**k for k in np.arange(-2, 4.01, 0.25)))
N_FOLDS = 5
# Logit of a label that no training cell has.
NEVER = -1e9


def few_of_each(codes: np.ndarray, n_labels: int) -> np.ndarray:
    """Numbers of the labelled cells to learn from, ascending: at most an equal share of 5,000, or 50, of each label.

    Cells whose ``codes``, ``(n_cells,)``, are not of the ``n_labels`` have none. Rare labels are over-represented, so
    :meth:`DiscriminantAnalysis.fit` has to be told how many cells there are of each.
    """
    share = max(MIN_PER_LABEL, MAX_CELLS // n_labels)
    shuffled = np.random.default_rng(0).permutation(len(codes))
    return np.sort(np.concatenate([shuffled[codes[shuffled] == label][:share] for label in range(n_labels)]))


@dataclass(frozen=True)
class DiscriminantAnalysis:
    r""":math:`p(y \mid x) \propto (\pi_y N(x; \mu_y, \Sigma))^{1/T}`, a linear discriminant analysis.

    A Gaussian for each label, with one covariance for all, shrunk as :cite:t:`Ledoit2004` say, so that a few cells of a
    label are enough; :math:`\pi_y` is the label's share of all labelled cells. The temperature T :cite:p:`Guo2017` is
    that at which the mean confidence of held-out cells, in 5-fold cross-validation, comes nearest to their share of
    right answers, each cell weighing as much as the cells that it stands for. With a few labelled cells the likelihood
    of the held-out ones is no guide to T: one that is far from its label outweighs all others. scikit-learn's own
    calibration needs every label in every fold, which a few labelled cells do not give.
    """

    analysis: LinearDiscriminantAnalysis
    temperature: float
    n_labels: int

    @classmethod
    def fit(cls, values: np.ndarray, codes: np.ndarray, counts: np.ndarray) -> Self:
        """Fit to labelled cells, ``(N, D)``, whose ``codes``, ``(N,)``, are two different ones or more, and not all.

        There are ``counts`` cells of each label, ``(Y,)``, of which those given may be a part; 0 only for labels that
        ``codes`` lack.
        """
        logits = _held_out(values, codes, counts)
        # Cells whose label no other fold has are left out: the analysis of all labelled cells knows every label.
        known = logits[np.arange(len(codes)), codes] > NEVER
        logits, codes_known = logits[known], codes[known]
        weights = (counts / np.bincount(codes, minlength=len(counts)).clip(1))[codes_known]
        temperature = min(TEMPERATURES, key=lambda t: _miscalibration(logits / t, codes_known, weights))
        return cls(_analysis(values, codes, counts), temperature, len(counts))

    def probabilities(self, values: np.ndarray) -> np.ndarray:
        """Probability of each label, ``(n_cells, Y)``."""
        return softmax(_logits(self.analysis, values, self.n_labels) / self.temperature, axis=1)


def _analysis(values: np.ndarray, codes: np.ndarray, counts: np.ndarray) -> LinearDiscriminantAnalysis:
    of_labels = counts[np.unique(codes)]
    analysis = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto", priors=of_labels / of_labels.sum())
    with warnings.catch_warnings():
        # A label of one cell adds nothing to the covariance, of which scikit-learn warns.
        warnings.filterwarnings("ignore", message="Only one sample available")
        return analysis.fit(values.astype(np.float64), codes)


def _held_out(values: np.ndarray, codes: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Logits of each cell from an analysis that did not see it, ``(N, Y)``; ``NEVER`` for what no other cell has."""
    fold = np.random.default_rng(0).permutation(len(codes)) % N_FOLDS
    logits = np.full((len(codes), len(counts)), NEVER)
    for k in range(N_FOLDS):
        train, test = fold != k, fold == k
        if 1 < len(np.unique(codes[train])) < train.sum() and test.any():
            logits[test] = _logits(_analysis(values[train], codes[train], counts), values[test], len(counts))
    return logits


def _logits(analysis: LinearDiscriminantAnalysis, values: np.ndarray, n_labels: int) -> np.ndarray:
    logits = np.full((len(values), n_labels), NEVER)
    logits[:, analysis.classes_] = analysis.predict_log_proba(values.astype(np.float64))
    return logits


def _miscalibration(logits: np.ndarray, codes: np.ndarray, weights: np.ndarray) -> float:
    """How far the mean confidence is from the share of right answers; 0 without cells."""
    if not len(codes):
        return 0.0
    excess = softmax(logits, axis=1).max(axis=1) - (logits.argmax(axis=1) == codes)
    return abs(float(np.average(excess, weights=weights)))
