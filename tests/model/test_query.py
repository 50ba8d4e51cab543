"""Mapping new batches onto a trained model."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mudata import MuData

import mmvae
from mmvae import MultiVAE, SetupError
from mmvae.train import init_priors

pytestmark = pytest.mark.filterwarnings("ignore:The latent of", "ignore:The validation ELBO never")
SIZES = {"rna": 20, "protein": 6}


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    mdata = mmvae.datasets.simulate(100, modalities=SIZES, n_clusters=3, n_batches=2)
    MultiVAE.setup_mudata(mdata, batch_key="batch")
    model = MultiVAE(mdata, n_hidden=16, n_latent=4)
    model.train(max_epochs=8, enable_progress_bar=False)
    folder = tmp_path_factory.mktemp("reference") / "model"
    model.save(folder)
    return model, folder


@pytest.fixture
def query():
    mdata = mmvae.datasets.simulate(80, modalities=SIZES, n_clusters=3, n_batches=2, missing=0.5, seed=1)
    mdata.obs["batch"] = "new " + mdata.obs["batch"].astype(str)
    return mdata


def test_a_query_of_new_batches_trains_their_weights_alone(reference, query):
    model, folder = reference
    mapped = MultiVAE.load_query_data(query, folder)
    mapped.train(max_epochs=3, enable_progress_bar=False)
    old, new = model.module.state_dict(), mapped.module.state_dict()
    for name, value in old.items():
        kept = new[name][..., : value.shape[-1]] if value.ndim else new[name]
        assert torch.equal(kept, value), name
    first = "decoders.rna.layers.fc_layers.Layer 0.0.weight"
    assert new[first].shape[1] == old[first].shape[1] + 2
    assert np.isfinite(mapped.get_latent_representation()).all()


def test_reference_cells_stay_where_they_were(reference, query):
    model, folder = reference
    expected = model.get_latent_representation()
    mapped = MultiVAE.load_query_data(query, folder)
    mapped.train(max_epochs=3, enable_progress_bar=False)
    assert np.allclose(model.get_latent_representation(), expected)
    assert mapped.module.priors["rna"].is_started


def test_training_again_goes_on_from_the_priors(reference):
    model, _ = reference
    before = model.module.priors["rna"].loc.detach().clone()
    init_priors(model.module, lambda: model._minibatches(None, np.arange(50), 50))
    assert torch.equal(model.module.priors["rna"].loc, before)


def staged(mdata, stages):
    mdata.obs["stage"] = np.resize(stages, mdata.n_obs)
    return mdata


def test_a_query_of_a_category_that_the_prior_does_not_know_expects_what_none_does(query, tmp_path):
    mdata = staged(mmvae.datasets.simulate(100, modalities=SIZES, n_clusters=3, n_batches=2), ["early", "late"])
    MultiVAE.setup_mudata(mdata, batch_key="batch", prior_covariate_keys=["stage"])
    model = MultiVAE(mdata, n_hidden=16, n_latent=4, prior="conditional")
    model.train(max_epochs=8, enable_progress_bar=False)
    model.save(tmp_path / "m")
    mapped = MultiVAE.load_query_data(staged(query, ["late", "adult", "early"]), str(tmp_path / "m"))
    mapped.train(max_epochs=3, enable_progress_bar=False)
    old, new = (m.module.priors["rna"].tables[0] for m in (model, mapped))
    assert torch.equal(new[..., :2], old)
    assert new.shape[-1] == 3
    assert (new[..., 2] == 0).all()
    assert np.isfinite(mapped.get_latent_representation()).all()
    assert np.isfinite(float(mapped.get_elbo()))


def test_a_query_that_lacks_a_modality_is_mapped_saved_and_imputed(reference, query, tmp_path):
    model, _ = reference
    half = MuData({"rna": query["rna"].copy()})
    half.obs["batch"] = query.obs["batch"].reindex(half.obs_names)
    mapped = MultiVAE.load_query_data(half, model)
    mapped.train(max_epochs=2, enable_progress_bar=False)
    expected = mapped.get_latent_representation()
    assert np.isfinite(expected).all()
    assert mapped.impute("protein").shape == (half.n_obs, SIZES["protein"])
    assert list(mapped.get_var_names()) == list(SIZES)
    mapped.save(tmp_path / "mapped")
    loaded = MultiVAE.load(tmp_path / "mapped", adata=half)
    np.testing.assert_allclose(loaded.get_latent_representation(), expected, atol=1e-6)
    both = query[query.obs_names.isin(half.obs_names) & query.obs_names.isin(query["protein"].obs_names)].copy()
    seen, unseen = (loaded.get_latent_representation(data, representation="protein") for data in (both, half))
    assert not np.allclose(seen, unseen[half.obs_names.get_indexer(both.obs_names)], atol=1e-2)


def test_a_query_may_lack_the_modality_of_a_size_factor(query):
    mdata = mmvae.datasets.simulate(100, modalities=SIZES, n_clusters=3)
    mdata["protein"].obs["depth"] = mdata["protein"].X.sum(axis=1) + 1.0
    MultiVAE.setup_mudata(mdata, size_factor_keys={"protein": "depth"})
    model = MultiVAE(mdata, n_hidden=8, n_latent=2)
    model.train(max_epochs=2, enable_progress_bar=False)
    half = MuData({"rna": query["rna"].copy()})
    assert len(model.get_latent_representation(half)) == half.n_obs
    assert len(MultiVAE.load_query_data(half, model).adata.obs) == half.n_obs


def test_a_query_with_a_modality_that_the_reference_has_not_says_so(reference, query):
    _, folder = reference
    lipids = query["rna"].copy()
    lipids.var_names = "lipid " + lipids.var_names
    more = MuData({"rna": query["rna"].copy(), "lipids": lipids})
    with pytest.raises(SetupError, match="modality 'lipids' is not one of the reference's"):
        MultiVAE.load_query_data(more, folder, "cpu")


def test_a_model_of_an_anndata_is_loaded_with_its_data_and_takes_queries(query, tmp_path):
    adata = mmvae.datasets.simulate(100, modalities=SIZES, n_clusters=3)["rna"].copy()
    MultiVAE.setup_anndata(adata)
    model = MultiVAE(adata, n_hidden=8, n_latent=2)
    model.train(max_epochs=2, enable_progress_bar=False)
    model.save(tmp_path / "model")
    loaded = MultiVAE.load(tmp_path / "model", adata, "cpu")
    np.testing.assert_allclose(loaded.get_latent_representation(), model.get_latent_representation(), atol=1e-6)
    mapped = MultiVAE.load_query_data(query["rna"].copy(), tmp_path / "model")
    mapped.train(max_epochs=1, enable_progress_bar=False)
    assert list(mapped.get_var_names()) == list(adata.var_names)
    assert len(mapped.get_normalized_expression(indices=[0, 1])) == 2
