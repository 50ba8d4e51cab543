"""What was measured, batches and information on an embedding."""

from __future__ import annotations

import numpy as np
import pytest

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


def test_a_missing_embedding_is_told(trained):
    model, _ = trained
    with pytest.raises(SetupError, match="obsm has no embedding 'X_umap'.*scanpy.tl.umap makes 'X_umap'"):
        mmvae.pl.overview(model)
