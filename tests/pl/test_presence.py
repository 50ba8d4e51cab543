"""Which cells have which modalities."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from images import image, without_text
from matplotlib.colors import to_hex

import mmvae
from mmvae import SetupError


def heights(bars, label):
    (group,) = [group for group in bars.containers if group.get_label() == label]
    return [bar.get_height() for bar in group]


def filled(dots):
    """Places of the dark dots, as (column, row)."""
    (points,) = dots.collections
    dark = [to_hex(colour) == to_hex("0.2") for colour in points.get_facecolor()]
    return sorted(map(tuple, np.asarray(points.get_offsets())[dark].astype(int).tolist()))


def test_patterns_are_counted_the_most_frequent_first(mosaic):
    bars, dots = mmvae.pl.presence(mosaic, show=False)
    assert heights(bars, "cells") == [28, 20, 12]
    assert [text.get_text() for text in bars.texts] == ["28", "20", "12"]
    # both, rna alone, protein alone
    assert filled(dots) == [(0, 0), (0, 1), (1, 0), (2, 1)]
    assert [label.get_text() for label in dots.get_yticklabels()] == ["rna (48)", "protein (40)"]
    assert bars.get_legend() is None


def test_bars_are_divided_by_batch(mosaic):
    bars, _ = mmvae.pl.presence(mosaic, "batch", show=False)
    assert heights(bars, "one") == [10, 20, 0]
    assert heights(bars, "two") == [18, 0, 12]
    assert [text.get_text() for text in bars.get_legend().get_texts()] == ["one", "two"]
    assert bars.get_legend().get_title().get_text() == "batch"


def test_cells_without_a_batch_are_counted_too(mosaic):
    mosaic.obs["batch"] = mosaic.obs["batch"].where(np.arange(60) >= 5)
    bars, _ = mmvae.pl.presence(mosaic, "batch", show=False)
    assert heights(bars, "NA") == [0, 5, 0]


def test_numbers_name_batches_too(mosaic):
    mosaic.obs["run"] = np.where(np.arange(60) < 30, 1, 2)
    bars, _ = mmvae.pl.presence(mosaic, "run", show=False)
    assert heights(bars, "1") == [10, 20, 0]


def test_one_modality_has_one_bar(mosaic):
    bars, dots = mmvae.pl.presence(mosaic["rna"], show=False)
    assert heights(bars, "cells") == [48]
    assert filled(dots) == [(0, 0)]


def test_given_axes_are_drawn_on(mosaic):
    axes = plt.subplots(2, 1)[1]
    assert mmvae.pl.presence(mosaic, axes=axes, show=False) == list(axes)
    with pytest.raises(ValueError, match="Expected two axes; got 3"):
        mmvae.pl.presence(mosaic, axes=plt.subplots(3, 1)[1])


def test_an_unknown_column_is_told(mosaic):
    with pytest.raises(SetupError, match=r"batch_key: 'bacth' is neither .* Is it \['batch'"):
        mmvae.pl.presence(mosaic, "bacth")


@image
def test_image_of_presence(mosaic):
    return without_text(mmvae.pl.presence(mosaic, "batch", return_fig=True))
