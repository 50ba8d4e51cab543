"""Labels predicted for cells, whatever they have."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from mudata import MuData

import mmvae
from mmvae import MultiVAE
from mmvae._compat import unpulled

pytestmark = pytest.mark.filterwarnings("ignore:The latent of", "ignore:The validation ELBO never")
SIZES = {"rna": 60, "protein": 12}


def partly_labelled(n_cells: int = 400, share: float = 0.2, seed: int = 0, **kwargs) -> MuData:
    mdata = mmvae.datasets.simulate(n_cells, modalities=SIZES, n_clusters=4, seed=seed, **kwargs)
    known = np.random.default_rng(seed).random(mdata.n_obs) < share
    mdata.obs["type"] = mdata.obs["cluster"].astype(str).where(known)
    return mdata


def fitted(mdata: MuData, prior: str = "labels", **kwargs) -> MultiVAE:
    MultiVAE.setup_mudata(mdata, batch_key="batch", labels_key="type")
    model = MultiVAE(mdata, n_hidden=32, n_latent=5, prior=prior, **kwargs)
    model.train(max_epochs=40, enable_progress_bar=False)
    return model


@pytest.fixture(scope="module")
def model() -> MultiVAE:
    return fitted(partly_labelled(missing=0.4))


def accuracy(model: MultiVAE, data: MuData, cells=slice(None)) -> float:
    truth = data.obs["cluster"].astype(str).to_numpy()[cells]
    return float((model.predict(data, np.arange(data.n_obs)[cells]) == truth).mean())


def test_unlabelled_cells_are_labelled_whatever_they_have(model):
    mdata = model.adata
    unlabelled = mdata.obs["type"].isna().to_numpy()
    complete = np.all([np.asarray(mdata.obsmap[n]).ravel() > 0 for n in mdata.mod], axis=0)
    assert accuracy(model, mdata, unlabelled & complete) > 0.7
    assert accuracy(model, mdata, unlabelled & ~complete) > 0.45


@pytest.mark.parametrize("prior", ["mog", "normal"])
def test_any_prior_will_do(prior):
    model = fitted(partly_labelled(), prior)
    assert accuracy(model, model.adata, model.adata.obs["type"].isna().to_numpy()) > 0.6


def test_probabilities_are_those_of_the_labels(model):
    soft = model.predict(soft=True)
    assert list(soft.columns) == model.labels == sorted(model.adata.obs["type"].dropna().unique())
    assert np.allclose(soft.sum(axis=1), 1)
    assert list(soft.index) == list(model.adata.obs_names)
    assert (soft.idxmax(axis=1).to_numpy() == model.predict()).all()


def test_new_cells_of_one_modality(model):
    new = partly_labelled(200, seed=5)
    with unpulled():
        alone = MuData({"protein": new["protein"].copy()})
    for column in ("batch", "cluster"):
        alone.obs[column] = new.obs[column].reindex(alone.obs_names)
    found = model.predict(alone)
    assert found.shape == (alone.n_obs,)
    assert set(found) <= set(model.labels)


def test_a_query_without_labels_is_predicted_from_the_reference(model, tmp_path):
    model.save(tmp_path / "model")
    query = partly_labelled(100, seed=3)
    del query.obs["type"]
    query.obs["batch"] = "new " + query.obs["batch"].astype(str)
    mapped = MultiVAE.load_query_data(query, str(tmp_path / "model"))
    mapped.train(max_epochs=2, enable_progress_bar=False)
    soft = mapped.predict(soft=True)
    assert soft.shape == (100, len(model.labels))
    assert mapped.labels == model.labels


def test_labels_that_the_reference_does_not_know_count_as_none(model, tmp_path):
    model.save(tmp_path / "model")
    query = partly_labelled(100, seed=3)
    query.obs["type"] = "something new"
    mapped = MultiVAE.load_query_data(query, str(tmp_path / "model"))
    assert mapped.labels == model.labels
    assert (query.obs["type"] == "something new").all()


def test_a_loaded_model_predicts_the_same(model, tmp_path):
    model.save(tmp_path / "model")
    loaded = MultiVAE.load(tmp_path / "model", model.adata)
    pd.testing.assert_frame_equal(loaded.predict(soft=True), model.predict(soft=True), atol=1e-5)


def test_the_frequencies_of_the_labels_are_remembered(model):
    counts = dict(zip(model.labels, model.memory.labelled["counts"], strict=True))
    assert counts == model.adata.obs["type"].dropna().value_counts().to_dict()


def test_labels_of_one_modality_suffice():
    mdata = partly_labelled(missing=0.3)
    mdata["rna"].obs["kind"] = mdata.obs["cluster"].astype(str).reindex(mdata["rna"].obs_names)
    del mdata.obs["type"]
    MultiVAE.setup_mudata(mdata, batch_key="batch", labels_key="rna:kind")
    model = MultiVAE(mdata, n_hidden=32, n_latent=5)
    model.train(max_epochs=40, enable_progress_bar=False)
    without = np.asarray(mdata.obsmap["rna"]).ravel() == 0
    assert accuracy(model, mdata, without) > 0.45


def test_a_word_may_stand_for_no_label():
    mdata = partly_labelled()
    mdata.obs["type"] = mdata.obs["type"].fillna("not sure")
    MultiVAE.setup_mudata(mdata, labels_key="type", unlabeled_category="not sure")
    model = MultiVAE(mdata, n_hidden=16, n_latent=4)
    assert "not sure" not in model.labels


def test_without_labels_the_error_says_what_to_do():
    mdata = mmvae.datasets.simulate(60, modalities=SIZES)
    MultiVAE.setup_mudata(mdata)
    model = MultiVAE(mdata, n_hidden=16, n_latent=4)
    model.train(max_epochs=2, enable_progress_bar=False)
    with pytest.raises(ValueError, match="labels_key"):
        model.predict()
    with pytest.raises(ValueError, match="labels_key"):
        MultiVAE(mdata, prior="labels")


def test_too_few_labels_are_refused():
    mdata = mmvae.datasets.simulate(60, modalities=SIZES)
    mdata.obs["type"] = None
    mdata.obs.loc[mdata.obs_names[:6], "type"] = list("aaabbb")
    MultiVAE.setup_mudata(mdata, labels_key="type")
    model = MultiVAE(mdata, n_hidden=16, n_latent=4)
    model.train(max_epochs=2, enable_progress_bar=False)
    with pytest.raises(ValueError, match="6 cells of 2"):
        model.predict()
