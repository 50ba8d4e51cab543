"""Reliability and agreement of modalities' latents, and the readout that is weighted by them."""

from __future__ import annotations

import warnings

import anndata as ad
import mudata as md
import numpy as np
import pytest
import torch

from mmvae import MultiVAE
from mmvae.datasets import simulate

# Of noise, and in a few epochs, a model learns next to nothing, and says so.
pytestmark = pytest.mark.filterwarnings("ignore:The latent of")

EPOCHS = 40


@pytest.fixture(scope="module")
def data():
    return with_noise(300, seed=0)


def with_noise(n_cells, seed):
    """Simulated cells whose second modality is noise without any structure."""
    mdata = simulate(n_cells, seed=seed)
    first = next(iter(mdata.mod))
    rng = np.random.default_rng(seed)
    noise = ad.AnnData(rng.poisson(1.0, (mdata.n_obs, 80)).astype(np.float32))
    noise.obs_names = mdata.obs_names
    return md.MuData({"rna": mdata[first].copy(), "noise": noise})


@pytest.fixture(scope="module")
def model(data):
    MultiVAE.setup_mudata(data)
    model = MultiVAE(data)
    with warnings.catch_warnings():  # marks do not reach fixtures of a wider scope
        warnings.filterwarnings("ignore", message="The latent of")
        model.train(max_epochs=EPOCHS, enable_progress_bar=False)
    return model


@pytest.fixture(scope="module")
def markers():
    """A model of four types, of which the counts of three markers tell one each apart from the fourth."""
    rng = np.random.default_rng(0)
    types = rng.integers(4, size=400)
    genes = rng.poisson(np.exp(rng.normal(0, 1, (4, 100)))[types])
    panel = rng.poisson(np.array([[100, 10, 10], [10, 100, 10], [10, 10, 100], [30, 30, 30]])[types])
    made = {"rna": genes, "markers": panel}
    made = {name: ad.AnnData(counts.astype(np.float32)) for name, counts in made.items()}
    for name, adata in made.items():
        adata.var_names = [f"{name}_{number}" for number in range(adata.n_vars)]
    mdata = md.MuData(made)
    MultiVAE.setup_mudata(mdata)
    model = MultiVAE(mdata)
    model.train(max_epochs=EPOCHS, enable_progress_bar=False)
    return model


def test_noise_is_less_reliable_than_structure(model):
    reliability = model.get_reliability()
    assert list(reliability.index) == ["rna", "noise"]
    assert reliability["rna"] > 0.6
    assert reliability["noise"] < 0.3


def test_a_modality_of_noise_hardly_counts(model):
    weights = model.get_modality_weights()
    assert list(weights.columns) == ["reliability", "certainty", "agreement", "weight"]
    assert weights["agreement"].max() < 0.3  # of training cells, whose latents have seen each other's counts
    assert weights.loc["rna", "weight"] == 1
    assert weights.loc["noise", "weight"] < 0.4


def test_draws_of_fused_are_as_wide_as_the_weights_say(model):
    drawn = model.get_latent_representation(indices=model.train_indices_, give_mean=False)
    width = model.module.fusion.n_latent["rna"]
    for block, weight in zip((drawn[:, :width], drawn[:, width:]), model.get_modality_weights()["weight"], strict=True):
        assert block.var(axis=0).sum() == pytest.approx(weight**2, rel=0.1)


def test_markers_that_each_tell_something_of_their_own_count(markers):
    """No half of three markers tells what the other does, but the rna tells it, too."""
    weights = markers.get_modality_weights()
    assert weights.loc["markers", "reliability"] < 0.5
    assert weights.loc["markers", "agreement"] > 0.5
    assert weights.loc["markers", "weight"] > 0.5


def test_agreement_is_of_the_cells_that_have_both(data):
    few = md.MuData({"rna": data["rna"][:150].copy(), "noise": data["noise"][110:].copy()})
    MultiVAE.setup_mudata(few)
    model = MultiVAE(few, n_hidden=16, n_latent=4, prior="normal")
    model.train(max_epochs=2, enable_progress_bar=False)
    weights = model.get_modality_weights()
    assert weights["agreement"].isna().all()  # 40 cells have both
    repeats = (weights["reliability"] * weights["certainty"]).clip(0.01)
    np.testing.assert_allclose(weights["weight"], repeats / repeats.max())


def test_variances_of_fused_are_scaled_as_its_means(model):
    fused, plain = (
        model.get_latent_representation(modality=name, return_dist=True) for name in ("fused", "unweighted")
    )
    np.testing.assert_allclose(fused[1] / plain[1], (fused[0] / plain[0]) ** 2, rtol=1e-3)


def test_the_same_after_save_and_load(model, data, tmp_path):
    model.save(tmp_path / "model")
    loaded = MultiVAE.load(tmp_path / "model", adata=data)
    assert loaded.get_reliability().equals(model.get_reliability())


def test_a_model_that_knows_no_weights_says_so(model, data, tmp_path):
    model.save(tmp_path / "model")
    older = MultiVAE.load(tmp_path / "model", adata=data)
    older.remember(certainty=None, agreement=None)
    assert older.get_reliability().equals(model.get_reliability())
    with pytest.raises(RuntimeError, match="by this version of mmvae"):
        older.get_modality_weights()


def test_a_query_keeps_the_weights_of_its_reference(model):
    query = MultiVAE.load_query_data(with_noise(200, seed=1), model)
    query.train(max_epochs=1, enable_progress_bar=False)
    assert query.memory.reliability == model.memory.reliability
    assert query.memory.scale == model.memory.scale


def test_an_attentive_concatenation_is_as_wide_as_the_weights_say(data):
    MultiVAE.setup_mudata(data)
    model = MultiVAE(data, fusion="attention", n_hidden=16)
    with torch.no_grad():
        for parameter in model.module.fusion.parameters():
            parameter.add_(0.2)
    model.train(max_epochs=2, enable_progress_bar=False)
    torch.manual_seed(0)
    draws = [model.get_latent_representation(indices=model.train_indices_, give_mean=False) for _ in range(20)]
    width = model.module.fusion.n_latent["rna"]
    variance = np.mean([drawn[:, :width].var(axis=0).sum() for drawn in draws])
    # The model scales by the variance of a single draw.
    assert variance == pytest.approx(model.get_modality_weights().loc["rna", "weight"] ** 2, rel=0.3)


def test_weights_are_those_of_the_last_training(data):
    MultiVAE.setup_mudata(data)
    model = MultiVAE(data, n_hidden=16)
    model.train(max_epochs=2, enable_progress_bar=False)
    first = model.memory.scale
    model.train(max_epochs=2, enable_progress_bar=False)
    assert model.memory.scale != first


def test_a_joint_latent_has_no_blocks_to_weigh(data):
    MultiVAE.setup_mudata(data)
    model = MultiVAE(data, fusion="poe")
    model.train(max_epochs=2, enable_progress_bar=False)
    fused, plain = (model.get_latent_representation(modality=name) for name in ("fused", "unweighted"))
    np.testing.assert_array_equal(fused, plain)


def test_one_feature_has_no_halves():
    # Real values: a single count, seen as a share of its cell's total, is the same in all cells.
    values = np.random.default_rng(0).normal(size=(60, 1)).astype(np.float32)
    adata = ad.AnnData(values)
    MultiVAE.setup_anndata(adata)
    model = MultiVAE(adata, prior="normal")
    model.train(max_epochs=2, enable_progress_bar=False)
    assert model.get_reliability().tolist() == [1.0]


@pytest.mark.parametrize("value", [1, 5])
def test_a_modality_that_is_the_same_in_all_cells_is_not_reliable(value):
    mdata = with_noise(60, seed=0)
    mdata["noise"].X = np.full(mdata["noise"].shape, value, dtype=np.float32)
    MultiVAE.setup_mudata(mdata)
    model = MultiVAE(mdata, n_hidden=16, n_latent=4, prior="normal")
    model.train(max_epochs=2, enable_progress_bar=False)
    assert model.get_reliability()["noise"] == 0.01
