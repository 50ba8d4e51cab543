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


def test_fused_is_the_unweighted_readout_scaled_by_block(model):
    fused, plain = (model.get_latent_representation(representation=name) for name in ("fused", "unweighted"))
    width = model.module.fusion.n_latent["rna"]
    weights = np.sqrt(model.get_reliability().to_numpy())
    np.testing.assert_allclose(fused[:, :width], weights[0] * plain[:, :width], rtol=1e-5)
    np.testing.assert_allclose(fused[:, width:], weights[1] * plain[:, width:], rtol=1e-5)
    (_, variance), (_, plain_variance) = (
        model.get_latent_representation(representation=name, return_dist=True) for name in ("fused", "unweighted")
    )
    np.testing.assert_allclose(variance[:, width:], weights[1] ** 2 * plain_variance[:, width:], rtol=1e-5)


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
