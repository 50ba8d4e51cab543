"""Weights of modalities, and what they told."""

from __future__ import annotations

from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from images import image, without_text

import mmvae


@pytest.fixture
def made():
    """What is asked of a model of two modalities; one cell of three lacks protein."""
    names = ["rna", "protein"]
    columns = {"reliability": [0.6, 0.8], "certainty": [0.9, 0.7], "agreement": [0.5, np.nan], "weight": [1.0, 0.3]}
    told = pd.DataFrame({"rna": [1.0, 2.0, 6.0], "protein": [3.0, 4.0, np.nan]})
    return SimpleNamespace(
        get_modality_weights=lambda: pd.DataFrame(columns, index=names), get_modality_information=lambda: told
    )


def test_bars_are_the_weights_and_why(made):
    left, _ = mmvae.pl.modality_weights(made, show=False)
    drawn = {group.get_label(): [bar.get_height() for bar in group] for group in left.containers}
    assert drawn["weight"] == [1.0, 0.3]
    assert drawn["reliability"] == [0.6, 0.8]
    assert list(drawn) == [text.get_text() for text in left.get_legend().get_texts()]
    assert [label.get_text() for label in left.get_xticklabels()] == ["rna", "protein"]


def test_medians_are_of_the_cells_that_have_the_modality(made):
    _, right = mmvae.pl.modality_weights(made, show=False)
    medians = right.collections[-1]
    assert [segment[0, 1] for segment in medians.get_segments()] == [2.0, 3.5]
    assert right.get_ylabel() == "nats"


def test_a_trained_model_is_drawn_on_given_axes(trained):
    model, _ = trained
    axes = plt.subplots(1, 2)[1]
    assert mmvae.pl.modality_weights(model, axes=axes, show=False) == list(axes)
    assert [label.get_text() for label in axes[1].get_xticklabels()] == model.modalities


@image
def test_image_of_modality_weights(made):
    return without_text(mmvae.pl.modality_weights(made, return_fig=True))
