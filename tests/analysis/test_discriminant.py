"""Discriminant analysis with calibrated probabilities."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score, log_loss

from mmvae.analysis import DiscriminantAnalysis, few_of_each


def test_probabilities_mean_what_they_say():
    """On a problem of known probabilities, the stated confidence is the share of right answers."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 3, 3_000)
    values = rng.normal(size=(3_000, 8))
    values[np.arange(3_000), codes] += 1.2
    classifier = DiscriminantAnalysis.fit(values[:150], codes[:150], np.bincount(codes[:150]))
    soft = classifier.probabilities(values[150:])
    right = soft.argmax(axis=1) == codes[150:]
    assert soft.max(axis=1).mean() == pytest.approx(right.mean(), abs=0.04)
    assert f1_score(codes[150:], soft.argmax(axis=1), average="macro") > 0.6


def test_a_label_of_one_cell_does_no_harm():
    rng = np.random.default_rng(0)
    codes = np.r_[np.zeros(20, int), np.ones(20, int), 2]
    values = rng.normal(size=(41, 3)) + codes[:, None]
    soft = DiscriminantAnalysis.fit(values, codes, np.array([20, 20, 1, 0])).probabilities(rng.normal(size=(5, 3)))
    assert soft.shape == (5, 4)
    assert np.isfinite(soft).all()
    assert soft[:, 3].max() < 0.2


IMBALANCED = np.array([0.45, 0.2, 0.12, 0.1, 0.06, 0.04, 0.02, 0.01])
RARE = np.array([0.95, 0.05])


def centres_of(shares: np.ndarray) -> np.ndarray:
    return 0.6 * np.random.default_rng(100).normal(size=(len(shares), 10))


def drawn(shares: np.ndarray, n_cells: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Cells of a Gaussian for each label, and their labels."""
    rng, centres = np.random.default_rng(seed), centres_of(shares)
    codes = rng.choice(len(shares), n_cells, p=shares)
    return centres[codes] + rng.normal(size=(n_cells, 10)), codes


def taught(shares: np.ndarray, n_cells: int) -> DiscriminantAnalysis:
    """What is learnt of so many labelled cells, of which a part is kept."""
    values, codes = drawn(shares, n_cells, seed=1)
    kept = few_of_each(codes, len(shares))
    return DiscriminantAnalysis.fit(values[kept], codes[kept], np.bincount(codes, minlength=len(shares)))


@pytest.mark.parametrize("shares", [IMBALANCED, RARE, np.full(4, 0.25)], ids=["imbalanced", "rare", "even"])
def test_more_labels_do_no_harm(shares):
    values, codes = drawn(shares, 20_000, seed=2)
    found = [taught(shares, n).probabilities(values) for n in (500, 2_000, 8_000, 50_000)]
    accuracy = [(soft.argmax(axis=1) == codes).mean() for soft in found]
    loss = [log_loss(codes, soft) for soft in found]
    assert (np.diff(accuracy) > -0.003).all(), accuracy
    assert (np.diff(loss) < 0.01).all(), loss


@pytest.mark.parametrize("shares", [IMBALANCED, RARE], ids=["imbalanced", "rare"])
@pytest.mark.parametrize("n_cells", [2_000, 60_000])
def test_labels_are_expected_as_often_as_they_are(shares, n_cells):
    values, codes = drawn(shares, 20_000, seed=2)
    soft = taught(shares, n_cells).probabilities(values)
    assert soft.mean(axis=0) == pytest.approx(np.bincount(codes) / len(codes), abs=0.012)
    best = np.log(shares) - 0.5 * ((values[:, None] - centres_of(shares)) ** 2).sum(axis=2)
    best = np.exp(best) / np.exp(best).sum(axis=1, keepdims=True)
    assert log_loss(codes, soft) == pytest.approx(log_loss(codes, best), abs=0.015)


def test_few_of_each_label_are_kept():
    codes = np.repeat([0, 1, 2, 3], [9_000, 30, 2_000, 700])
    kept = few_of_each(codes, 3)
    assert np.bincount(codes[kept]).tolist() == [1_666, 30, 1_666]
    assert (np.diff(kept) > 0).all()


def test_confidence_is_calibrated_on_what_the_kept_cells_stand_for():
    """The cells are heavier-tailed than Gaussians, and most are of the one label that is not mistaken."""
    rng = np.random.default_rng(0)
    codes = rng.choice(3, 40_000, p=[0.9, 0.05, 0.05])
    values = rng.standard_t(3, size=(40_000, 4)) + np.array([[0, 0, 0, 0], [3, 0, 0, 0], [3, 1, 0, 0]])[codes]
    train = np.arange(20_000)
    kept = few_of_each(codes[train], 3)
    classifier = DiscriminantAnalysis.fit(values[kept], codes[kept], np.bincount(codes[train]))
    soft = classifier.probabilities(values[20_000:])
    right = soft.argmax(axis=1) == codes[20_000:]
    assert soft.max(axis=1).mean() == pytest.approx(right.mean(), abs=0.01)
