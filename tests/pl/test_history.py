from __future__ import annotations

from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from images import image, without_text

import mmvae


def test_curves_are_those_of_the_history(trained):
    model, _ = trained
    left, right = mmvae.pl.history(model, show=False)
    drawn = {line.get_label(): line.get_ydata() for line in (*left.get_lines(), *right.get_lines())}
    np.testing.assert_allclose(drawn["training"], model.history_["elbo_train"].iloc[:, 0].astype(float))
    np.testing.assert_allclose(drawn["validation"], model.history_["elbo_validation"].iloc[:, 0].astype(float))
    for name in model.modalities:
        np.testing.assert_allclose(drawn[name], model.history_[f"kl_{name}_train"].iloc[:, 0].astype(float))


def test_best_epoch_is_marked(trained):
    model, _ = trained
    for panel in mmvae.pl.history(model, show=False):
        (mark,) = [line for line in panel.get_lines() if line.get_linestyle() == "--"]
        assert set(mark.get_xdata()) == {model.best_epoch_}


def test_given_axes_are_drawn_on(trained):
    model, _ = trained
    _, axes = plt.subplots(1, 2)
    assert mmvae.pl.history(model, axes=axes, show=False) == list(axes)


def test_axes_that_are_not_two_are_refused(trained):
    model, _ = trained
    _, axes = plt.subplots(1, 3)
    with pytest.raises(ValueError, match="Expected two axes; got 3"):
        mmvae.pl.history(model, axes=axes)


def test_showing_follows_scanpy(trained, monkeypatch):
    model, _ = trained
    shown = []
    monkeypatch.setattr(plt, "show", lambda: shown.append(True))
    before = sc.settings.autoshow
    try:
        sc.settings.autoshow = True
        assert mmvae.pl.history(model) is None
        assert shown == [True]
        sc.settings.autoshow = False
        assert len(mmvae.pl.history(model)) == 2
    finally:
        sc.settings.autoshow = before


def test_untrained_model_is_refused():
    mdata = mmvae.datasets.simulate(50)
    mmvae.MultiVAE.setup_mudata(mdata)
    with pytest.raises(ValueError, match="Expected a trained model"):
        mmvae.pl.history(mmvae.MultiVAE(mdata))


@image
def test_image_of_history():
    """What is asked of a model, with curves that end the sooner the later the epoch."""
    epochs = np.arange(20)
    curves = {
        "elbo_train": 100 / (epochs + 1),
        "elbo_validation": 110 / (epochs + 1) + 0.2 * epochs,
        "kl_rna_train": 5 + 0 * epochs,
    }
    history = {name: pd.DataFrame({name: values}, index=epochs) for name, values in curves.items()}
    model = SimpleNamespace(history_=history, best_epoch_=12, module=SimpleNamespace(priors={"rna": None}))
    return without_text(mmvae.pl.history(model, return_fig=True))
