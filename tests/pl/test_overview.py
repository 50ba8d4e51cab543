"""What was measured, batches and information on an embedding."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from images import image, without_text
from matplotlib.colors import Normalize

import mmvae
from mmvae import SetupError


def drawn(panel):
    (cells,) = [c for c in panel.collections if len(c.get_offsets())]
    return cells


def test_patterns_batches_and_information_are_drawn(trained):
    model, mdata = trained
    data = mdata.copy()
    data.obsm["X_umap"] = np.random.default_rng(0).normal(size=(data.n_obs, 2))
    axes = mmvae.pl.overview(model, data, show=False)
    titles = [panel.get_title().split("\n")[0] for panel in axes]
    assert titles == ["what was measured", "batch", *(f"nats from {name}" for name in model.modalities)]
    told = model.get_modality_information()
    for panel, name in zip(axes[2:], model.modalities, strict=True):
        values = np.ma.filled(drawn(panel).get_array().astype(float), np.nan)
        np.testing.assert_allclose(np.sort(values), np.sort(told[name].to_numpy()))
        assert f"{told[name].notna().sum()} of {data.n_obs} cells" in panel.get_title()
    assert {text.get_text() for text in axes[1].get_legend().get_texts()} == set(data.obs["batch"])


def test_one_cell_of_much_information_leaves_the_colours_to_the_others(mosaic):
    told = pd.DataFrame({"rna": [1.0] * 30 + [2.0] * 29 + [500.0]}, index=mosaic.obs_names)
    model = SimpleNamespace(
        adata=mosaic, registry_={"setup_args": {"batch_key": "batch"}}, get_modality_information=lambda _: told
    )
    assert drawn(mmvae.pl.overview(model, show=False)[-1]).norm.vmax < 300
    assert drawn(mmvae.pl.overview(model, show=False, vmax=5)[-1]).norm.vmax == 5
    assert drawn(mmvae.pl.overview(model, show=False, norm=Normalize(0, 9))[-1]).norm.vmax == 9


def test_a_missing_embedding_is_told(trained):
    model, _ = trained
    with pytest.raises(SetupError, match="obsm has no embedding 'X_umap'.*scanpy.tl.umap makes 'X_umap'"):
        mmvae.pl.overview(model)


@image
def test_image_of_overview(mosaic):
    """What is asked of a model, with more nats from protein the later the cell."""
    told = pd.DataFrame({"rna": 1.0, "protein": np.arange(60.0)}, index=mosaic.obs_names)
    model = SimpleNamespace(
        adata=mosaic, registry_={"setup_args": {"batch_key": "batch"}}, get_modality_information=lambda _: told
    )
    return without_text(mmvae.pl.overview(model, size=60, return_fig=True))
