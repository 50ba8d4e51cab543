"""Features of dimensions."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from images import image, without_text
from matplotlib.colors import to_hex

import mmvae


@pytest.fixture
def frame():
    values = {"shared_0": [0.1, -3.0, 2.0, 0.0], "shared_1": [4.0, 1.0, -2.0, 0.5]}
    return pd.DataFrame(values, index=["CD4", "MS4A1", "NKG7", "LYZ"])


def bars(panel):
    names = [label.get_text() for label in panel.get_yticklabels()]
    return dict(zip(names, [(bar.get_width(), to_hex(bar.get_facecolor())) for bar in panel.patches], strict=True))


def test_the_largest_come_first_whichever_their_sign(frame):
    first, second = mmvae.pl.loadings(frame, n_features=3, show=False)
    assert bars(first) == {"MS4A1": (-3.0, "#d55e00"), "NKG7": (2.0, "#0072b2"), "CD4": (0.1, "#0072b2")}
    assert list(bars(second)) == ["CD4", "NKG7", "MS4A1"]
    assert [first.get_title(), second.get_title()] == ["shared_0", "shared_1"]
    assert first.yaxis_inverted()


def test_dimensions_are_chosen_by_name(frame):
    panel = mmvae.pl.loadings(frame, "shared_1", ax=plt.subplots()[1], show=False)
    assert panel.get_title() == "shared_1"
    axes = mmvae.pl.loadings(frame, frame.columns[::-1], show=False)
    assert [panel.get_title() for panel in axes] == ["shared_1", "shared_0"]
    assert mmvae.pl.loadings(frame["shared_0"], show=False).get_title() == "shared_0"


def test_features_of_several_modalities_are_named_with_theirs(frame):
    together = pd.concat({"rna": frame, "protein": frame})
    assert list(bars(mmvae.pl.loadings(together, "shared_1", n_features=2, show=False))) == ["rna:CD4", "protein:CD4"]


def test_all_faults_are_told_at_once(frame):
    with pytest.raises(
        ValueError, match=r"n_features as a whole number above 0; got 0.*got \['shared_2'\].*one dimension"
    ):
        mmvae.pl.loadings(frame, ["shared_0", "shared_2"], n_features=0, ax=plt.subplots()[1])
    with pytest.raises(ValueError, match="Expected dimensions to draw; got none"):
        mmvae.pl.loadings(frame, [])


@image
def test_image_of_loadings(frame):
    return without_text(mmvae.pl.loadings(frame, return_fig=True))
