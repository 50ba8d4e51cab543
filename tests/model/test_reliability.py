"""Reliability of a modality's latent, and the readout that is weighted by it."""

from __future__ import annotations

import anndata as ad
import mudata as md
import numpy as np
import pytest

from mmvae import MultiVAE
from mmvae.datasets import simulate

EPOCHS = 40


@pytest.fixture(scope="module")
def data():
    """Simulated cells whose second modality is noise without any structure."""
    mdata = simulate(300, seed=0)
    first = next(iter(mdata.mod))
    rng = np.random.default_rng(0)
    noise = ad.AnnData(rng.poisson(1.0, (mdata.n_obs, 80)).astype(np.float32))
    noise.obs_names = mdata.obs_names
    return md.MuData({"rna": mdata[first].copy(), "noise": noise})


@pytest.fixture(scope="module")
def model(data):
    MultiVAE.setup_mudata(data)
    model = MultiVAE(data)
    with pytest.warns(UserWarning, match="'noise' carries"):
        model.train(max_epochs=EPOCHS, enable_progress_bar=False)
    return model


def test_noise_is_less_reliable_than_structure(model):
    reliability = model.get_reliability()
    assert list(reliability.index) == ["rna", "noise"]
    assert reliability["rna"] > 0.6
    assert reliability["noise"] < 0.3


def test_blocks_of_fused_are_as_wide_as_they_are_reliable(model):
    fused, (mean, variance) = (
        model.get_latent_representation(indices=model.train_indices_, representation=name, return_dist=dist)
        for name, dist in (("fused", False), ("unweighted", True))
    )
    width = model.module.fusion.n_latent["rna"]
    for block, reliability in zip((slice(width), slice(width, None)), model.get_reliability(), strict=True):
        spread = np.sqrt((mean[:, block].var(axis=0) + variance[:, block].mean(axis=0)).sum())
        np.testing.assert_allclose(fused[:, block], reliability / spread * mean[:, block], rtol=1e-4)


def test_variances_of_fused_are_scaled_as_its_means(model):
    fused, plain = (
        model.get_latent_representation(representation=name, return_dist=True) for name in ("fused", "unweighted")
    )
    np.testing.assert_allclose(fused[1] / plain[1], (fused[0] / plain[0]) ** 2, rtol=1e-3)


def test_the_same_after_save_and_load(model, data, tmp_path):
    model.save(tmp_path / "model")
    loaded = MultiVAE.load(tmp_path / "model", adata=data)
    assert loaded.get_reliability().equals(model.get_reliability())


@pytest.mark.filterwarnings("ignore:The latent of")
def test_a_query_keeps_the_weights_of_its_reference(model, data):
    query = MultiVAE.load_query_data(data, model)
    query.train(max_epochs=1, enable_progress_bar=False)
    assert query.get_reliability().equals(model.get_reliability())


def test_a_joint_latent_has_no_blocks_to_weigh(data):
    MultiVAE.setup_mudata(data)
    model = MultiVAE(data, fusion="poe")
    model.train(max_epochs=2, enable_progress_bar=False)
    fused, plain = (model.get_latent_representation(representation=name) for name in ("fused", "unweighted"))
    np.testing.assert_array_equal(fused, plain)


@pytest.mark.filterwarnings("ignore:The latent of")
def test_one_feature_has_no_halves():
    values = np.random.default_rng(0).poisson(5.0, (60, 1)).astype(np.float32)
    adata = ad.AnnData(values)
    MultiVAE.setup_anndata(adata)
    model = MultiVAE(adata, prior="normal")
    model.train(max_epochs=2, enable_progress_bar=False)
    assert model.get_reliability().tolist() == [1.0]
