"""Differences between groups."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from images import image, without_text
from matplotlib.text import Text

import mmvae


@pytest.fixture
def frame():
    """Two comparisons, the second the first the other way round; ten features of forty differ, four of them surely."""
    change = np.concatenate([[-3.0, -2.0, 2.0, 3.0], np.linspace(-1.5, 1.5, 6), np.linspace(-0.5, 0.5, 30)])
    factor = np.concatenate([[18.0] * 4, np.linspace(3, 4, 6), np.linspace(-6, 0, 30)])
    columns = {"lfc_mean": change, "bayes_factor": factor, "is_de_fdr_0.05": np.arange(40) < 10}
    first = pd.DataFrame(columns, index=[f"g{i}" for i in range(40)])
    second = first.assign(lfc_mean=-change)
    return pd.concat([first.assign(comparison="B vs Rest"), second.assign(comparison="T vs Rest")])


def dots(panel):
    return {group.get_label(): np.asarray(group.get_offsets()) for group in panel.collections}


def test_features_are_placed_by_how_large_and_how_sure(frame):
    panel = mmvae.pl.volcano(frame, "B vs Rest", show=False)
    drawn = dots(panel)
    assert list(drawn) == ["more: 5", "less: 5", "not told apart: 30"]
    assert [2.0, 18.0] in drawn["more: 5"].tolist()
    assert [-3.0, 18.0] in drawn["less: 5"].tolist()
    assert panel.get_title() == "B vs Rest"
    assert panel.get_xlabel() == "log2 fold change"


def test_comparisons_have_a_panel_each(frame):
    axes = mmvae.pl.volcano(frame, show=False)
    assert [panel.get_title() for panel in axes] == ["B vs Rest", "T vs Rest"]
    assert [panel.get_title() for panel in mmvae.pl.volcano(frame, ["T vs Rest", "B vs Rest"], show=False)] == [
        "T vs Rest",
        "B vs Rest",
    ]


def test_the_surest_are_named_and_of_equals_those_that_differ_most(frame):
    panel = mmvae.pl.volcano(frame, "B vs Rest", n_labels=2, show=False)
    assert [text.get_text() for text in panel.texts] == ["g0", "g3"]
    assert not mmvae.pl.volcano(frame, "B vs Rest", n_labels=0, show=False).texts


def test_names_do_not_touch_and_lie_within_the_axes(frame):
    frame = frame[frame["comparison"] == "B vs Rest"].assign(bayes_factor=18.0, **{"is_de_fdr_0.05": True})
    panel = mmvae.pl.volcano(frame, n_labels=30, show=False)
    panel.figure.canvas.draw()
    boxes = [Text.get_window_extent(text) for text in panel.texts]  # without their lines
    assert len(boxes) == 30
    for number, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:number])
        assert panel.bbox.x0 <= box.x0
        assert box.x1 <= panel.bbox.x1
        assert panel.bbox.y0 - 8 <= box.y0


def test_a_frame_of_one_comparison_or_of_differences_is_drawn(frame):
    frame = frame[:40].drop(columns="comparison").rename(columns={"lfc_mean": "difference_mean"})
    panel = mmvae.pl.volcano(frame, ax=plt.subplots()[1], show=False)
    assert panel.get_xlabel() == "difference"


def test_all_faults_are_told_at_once(frame):
    with pytest.raises(
        ValueError, match=r"n_labels.*columns \['bayes_factor', 'is_de_fdr_\*'\].*mode='change'.*got \['NK'\]"
    ):
        mmvae.pl.volcano(frame[["lfc_mean", "comparison"]], "NK", n_labels=-1)
    with pytest.raises(ValueError, match="Expected one comparison with ax; got 2"):
        mmvae.pl.volcano(frame, ax=plt.subplots()[1])
    with pytest.raises(ValueError, match=r"each feature once in a comparison; got it several times in \['B vs Rest'\]"):
        mmvae.pl.volcano(pd.concat([frame, frame]), "B vs Rest")
    with pytest.raises(ValueError, match="Expected a comparison with features; got none"):
        mmvae.pl.volcano(frame[:0])


@image
def test_image_of_volcano(frame):
    return without_text(mmvae.pl.volcano(frame, n_labels=6, return_fig=True))
