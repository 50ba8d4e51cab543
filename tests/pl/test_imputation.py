"""Imputed beside measured values."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from images import image, without_text
from matplotlib.colors import to_hex

import mmvae

N, FEATURES = 40, [f"p{i}" for i in range(12)]


@pytest.fixture
def truth():
    values = np.random.default_rng(0).poisson(20, (N, 12)).astype(float)
    return pd.DataFrame(values, index=[f"c{i}" for i in range(N)], columns=FEATURES)


@pytest.fixture
def predicted(truth):
    """The truth with the more noise the later the feature, of fewer cells in another order."""
    noise = np.random.default_rng(1).normal(size=truth.shape) * np.arange(12)
    return (truth + noise).sample(frac=0.8, random_state=0)


def dots(panel, colour):
    groups = [c for c in panel.collections if len(c.get_facecolor()) and to_hex(c.get_facecolor()[0]) == colour]
    return np.concatenate([np.asarray(c.get_offsets()) for c in groups] or [np.zeros((0, 2))])


@pytest.mark.parametrize("kind", ["frame", "anndata"])
def test_cells_are_matched_by_name(truth, predicted, kind):
    given = AnnData(truth) if kind == "anndata" else truth
    panel = mmvae.pl.imputation(given, predicted, features="p3", show=False)
    both = np.column_stack([truth["p3"][predicted.index], predicted["p3"]])
    drawn = dots(panel, "#0072b2")
    np.testing.assert_allclose(np.sort(drawn, axis=0), np.sort(both, axis=0))
    assert panel.get_title() == f"p3\nr = {np.corrcoef(both.T)[0, 1]:.2f}"
    assert (panel.get_xlabel(), panel.get_ylabel()) == ("measured", "imputed")


def test_cells_outside_of_their_interval_are_told_apart(truth, predicted):
    lower, upper = predicted - 5, predicted + 5
    panel = mmvae.pl.imputation(truth, predicted, lower, upper, features="p9", show=False)
    is_inside = truth["p9"][predicted.index].between(lower["p9"], upper["p9"])
    assert 0 < is_inside.sum() < len(is_inside)
    assert len(dots(panel, "#0072b2")) == is_inside.sum()
    assert len(dots(panel, "#d55e00")) == (~is_inside).sum()
    assert panel.get_title().endswith(f"{is_inside.mean():.0%} inside")
    segments = panel.collections[0].get_segments()
    assert len(segments) == len(predicted)
    np.testing.assert_allclose([s[1, 1] - s[0, 1] for s in segments], 10)


def test_by_default_features_are_good_and_bad_ones(truth, predicted):
    axes = mmvae.pl.imputation(truth, predicted, show=False)
    names = [panel.get_title().split("\n")[0] for panel in axes]
    correlations = truth.loc[predicted.index].corrwith(predicted)
    assert len(names) == 8
    assert list(correlations[names]) == sorted(correlations[names], reverse=True)
    assert {correlations.idxmax(), correlations.idxmin()} <= set(names)


def test_axes_may_be_logarithmic(truth, predicted):
    panel = mmvae.pl.imputation(truth, predicted, features=["p1"], log=True, ax=plt.subplots()[1], show=False)
    assert (panel.get_xscale(), panel.get_yscale()) == ("symlog", "symlog")


def test_all_faults_are_told_at_once(truth, predicted):
    with pytest.raises(
        ValueError, match=r"ncols.*both lower and upper.*got \['p13'\]. Is it \['p3', 'p1'\].*one feature with ax"
    ):
        mmvae.pl.imputation(truth, predicted, predicted, features=["p13", "p1"], ncols=0, ax=plt.subplots()[1])
    with pytest.raises(ValueError, match="they share 0 cells and 12 features"):
        mmvae.pl.imputation(truth, predicted.add_prefix("x", axis=0))


@image
def test_image_of_imputation(truth, predicted):
    return without_text(mmvae.pl.imputation(truth, predicted, predicted - 6, predicted + 6, ncols=4, return_fig=True))
