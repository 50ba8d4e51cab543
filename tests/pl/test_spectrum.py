"""The spectrum of what modalities share."""

from __future__ import annotations

from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest
from images import image, without_text

import mmvae


@pytest.fixture
def made():
    """What is asked of a model, with two shared dimensions of five."""
    return SimpleNamespace(
        get_shared_spectrum=lambda: np.array([1.9, 1.5, 1.2, 0.8, 0.6]),
        memory=SimpleNamespace(shared={"threshold": 1.3}),
    )


def test_dimensions_above_the_threshold_are_told_apart(made):
    panel = mmvae.pl.shared_spectrum(made, show=False)
    drawn = {line.get_label(): line for line in panel.get_lines()}
    np.testing.assert_array_equal(drawn["shared: 2"].get_xydata(), [[1, 1.9], [2, 1.5]])
    np.testing.assert_array_equal(drawn["not told from chance: 3"].get_xydata(), [[3, 1.2], [4, 0.8], [5, 0.6]])
    assert set(drawn["threshold: 1.30"].get_ydata()) == {1.3}
    assert all(tick == round(tick) for tick in panel.get_xticks())


def test_it_is_that_of_the_model(trained):
    model, _ = trained
    ax = plt.subplots()[1]
    panel = mmvae.pl.shared_spectrum(model, ax=ax, show=False)
    assert panel is ax
    drawn = np.concatenate([line.get_ydata() for line in panel.get_lines() if line.get_marker() == "o"])
    np.testing.assert_array_equal(drawn, model.get_shared_spectrum())
    labels = [text.get_text() for text in panel.get_legend().get_texts()]
    assert f"threshold: {model.memory.shared['threshold']:.2f}" in labels


@image
def test_image_of_shared_spectrum(made):
    return without_text(mmvae.pl.shared_spectrum(made, return_fig=True))
