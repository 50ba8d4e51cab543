"""What plain methods predict."""

from __future__ import annotations

import numpy as np
from scipy.stats import pearsonr, spearmanr

from mmvae.analysis import by_label, by_neighbors, by_ridge, components, correlations, lead

RNG = np.random.default_rng(0)


def test_a_linear_target_is_predicted_by_ridge_and_nearly_by_neighbors():
    source = RNG.normal(size=(800, 3))
    target = source @ RNG.normal(size=(3, 4))
    for method, least in ((by_ridge, 0.999), (by_neighbors, 0.9)):
        assert correlations(method(source[:600], target[:600], source[600:]), target[600:]).min() > least


def test_labels_are_predicted_by_means():
    target = np.array([[1.0], [3.0], [10.0]])
    found = by_label(np.array([0, 0, 1]), target, np.array([1, 0, 5]))
    assert np.allclose(found[:, 0], [10.0, 2.0, 14 / 3])


def test_components_come_from_the_fitted_cells_alone():
    values = RNG.normal(size=(50, 10))
    other = values.copy()
    other[40:] *= 100
    assert np.allclose(components(values, np.arange(40))[:40], components(other, np.arange(40))[:40])


def test_correlations_are_those_of_scipy():
    one, two = RNG.normal(size=(2, 30, 2))
    assert np.allclose(correlations(one, two), [pearsonr(one[:, j], two[:, j])[0] for j in range(2)])
    assert np.allclose(correlations(one, two, of_ranks=True), [spearmanr(one[:, j], two[:, j])[0] for j in range(2)])
    assert np.isnan(correlations(one, np.ones_like(two))).all()
    assert (correlations(np.ones_like(one), two) == 0).all()


def test_the_lead_is_over_the_best_of_the_others():
    truth = RNG.normal(size=(400, 20))
    near, far, nothing = (truth + scale * RNG.normal(size=truth.shape) for scale in (0.5, 1.0, 20.0))
    ahead, error = lead(near, [far, nothing], truth)
    assert 0 < 3 * error < ahead
    behind, error = lead(far, [near, nothing], truth)
    assert behind == -ahead
    assert behind < -3 * error
