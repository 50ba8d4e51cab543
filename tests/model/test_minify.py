"""Models whose data hold posteriors in place of values."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData
from mudata import MuData
from scvi.data import _constants

import mmvae
from mmvae import MultiVAE, SetupError, _keys
from mmvae._compat import unpulled
from mmvae.data import Minification
from mmvae.report._imputation import intervals

pytestmark = pytest.mark.filterwarnings("ignore:The latent of", "ignore:The validation ELBO never", "ignore:The modal")
POSTERIORS, WITH_COUNTS = "latent_posterior_parameters", "latent_posterior_parameters_with_counts"
READINGS = {
    "fused": lambda m: m.get_latent_representation(),
    "shared": lambda m: m.get_latent_representation(representation="shared"),
    "one modality": lambda m: m.get_latent_representation(representation="protein"),
    "variances": lambda m: m.get_latent_representation(return_dist=True)[1],
    "expected values": lambda m: m.get_normalized_expression(modality="atac", indices=[7, 0, 3]),
    "imputation": lambda m: m.impute("protein"),
    "components": lambda m: m.get_responsibilities(latent="rna"),
    "summary": lambda m: m.prior_summary(2)["n_cells"],
    "information": lambda m: m.get_modality_information(),
    "outliers": lambda m: m.get_outlier_score(),
    "weights": lambda m: m.get_modality_weights().select_dtypes("number"),
}


@pytest.fixture(scope="module")
def folder(trained, tmp_path_factory):
    path = tmp_path_factory.mktemp("minify") / "model"
    trained[0].save(path)
    return path


@pytest.fixture
def mdata(trained):
    with unpulled():
        return trained[1].copy()


@pytest.fixture
def model(folder, mdata):
    return MultiVAE.load(folder, mdata)


def minified(model, way=POSTERIORS):
    model.minify_mudata(way)
    return model


def test_names_are_those_of_scvi_tools():
    assert _keys.MINIFY_TYPE == _constants._ADATA_MINIFY_TYPE_UNS_KEY
    assert _keys.SCVI_UUID == _constants._SCVI_UUID_KEY
    assert {_keys.POSTERIORS, _keys.POSTERIORS_WITH_COUNTS} == set(_constants.ADATA_MINIFY_TYPE)


@pytest.mark.parametrize("way", [POSTERIORS, WITH_COUNTS])
def test_what_is_read_of_posteriors_stays_and_no_encoder_is_run(model, trained, way):
    minified(model, way)
    for encoder in model.module.encoders.values():
        encoder.forward = None
    for name, read in READINGS.items():
        assert np.allclose(read(model), read(trained[0]), atol=1e-5, equal_nan=True), name
    assert model.minified_data_type == way
    assert "200 cells, minified; trained" in repr(model)


def test_the_user_s_data_are_left_as_they_are(model, mdata):
    before = {name: (adata.X, adata.X.copy(), list(adata.obs)) for name, adata in mdata.mod.items()}
    columns, uns, obsm = list(mdata.obs), dict(mdata.uns), set(mdata.obsm)
    minified(model)
    assert model.adata is not mdata
    assert (list(mdata.obs), dict(mdata.uns), set(mdata.obsm)) == (columns, uns, obsm)
    for name, (values, copied, own) in before.items():
        adata = mdata.mod[name]
        assert adata.X is values and abs(values - copied).sum() == 0
        assert list(adata.obs) == own and "X_latent_qzm" not in adata.obsm
    assert all(adata.X.nnz == 0 for adata in model.adata.mod.values())


def test_values_are_kept_and_shared_if_asked_for(model, mdata):
    minified(model, WITH_COUNTS)
    assert all(np.shares_memory(adata.X.data, mdata.mod[name].X.data) for name, adata in model.adata.mod.items())


def test_a_failure_changes_nothing(model, mdata, monkeypatch):
    def fail(*args, **kwargs):
        raise MemoryError

    monkeypatch.setattr(type(model.adata_manager), "register_fields", fail)
    with pytest.raises(MemoryError):
        model.minify_mudata()
    assert model.adata is mdata
    assert model.minified_data_type is None
    assert _keys.MINIFY_TYPE not in mdata.uns


def test_cells_and_their_rows_may_be_in_any_order(folder, mdata, trained):
    order = np.random.default_rng(0).permutation(mdata.mod["protein"].n_obs)
    with unpulled():
        shuffled = MuData({**mdata.mod, "protein": mdata.mod["protein"][order].copy()}, obs=mdata.obs[[]])
    shuffled.obs = mdata.obs
    model = minified(MultiVAE.load(folder, shuffled))
    assert list(model.adata.mod["protein"].obs_names) == list(shuffled.mod["protein"].obs_names)
    assert np.allclose(model.get_latent_representation(), trained[0].get_latent_representation(), atol=1e-5)
    chosen = model.get_latent_representation(indices=[9, 2])
    assert np.allclose(chosen, trained[0].get_latent_representation(indices=[9, 2]), atol=1e-5)


def test_a_modality_that_the_data_lack_is_still_predicted(folder, mdata, trained):
    del mdata.mod["protein"]
    with unpulled():
        fewer = MuData(dict(mdata.mod), obs=mdata.obs[[]])
    fewer.obs = mdata.obs
    fewer = fewer[fewer.obsm["rna"] | fewer.obsm["atac"]].copy()
    model = MultiVAE.load(folder, fewer)
    latent, protein = model.get_latent_representation(), model.impute("protein")
    minified(model)
    assert np.allclose(model.get_latent_representation(), latent, atol=1e-5)
    assert np.allclose(model.impute("protein"), protein, atol=1e-4)


@pytest.mark.filterwarnings("ignore:.*is predicted no better by the model")
def test_imputation_is_measured_before_the_values_go():
    mdata = mmvae.datasets.simulate(150, modalities={"rna": 20, "protein": 6}, missing=0.2, seed=1)
    MultiVAE.setup_mudata(mdata)
    model = MultiVAE(mdata, n_hidden=8, n_latent=3)
    model.train(1, train_size=0.6, accelerator="cpu", enable_progress_bar=False)
    protein = model.impute("protein")
    minified(model)
    assert np.allclose(model.impute("protein"), protein, atol=1e-4)
    assert "mmvae" in model.check_imputation("rna")["error"]
    assert (model.translate("protein", "rna", interval=0.8).upper_count >= 0).all(axis=None)
    assert "are not in the data" in " ".join(note.text for note in intervals(model))


def test_what_was_never_measured_of_values_is_asked_for_in_words(model):
    minified(model)
    model.remember(imputation=None, imputation_quality=None)
    assert len(model.impute("protein"))
    with pytest.raises(ValueError, match="with their values, to calibrate intervals of 'protein' by; got none, others"):
        model.impute("protein", interval=0.9)


@pytest.mark.parametrize("call", ["get_elbo", "get_reconstruction_error", "get_marginal_ll", "leave_one_out", "train"])
def test_what_needs_values_is_refused(model, call):
    minified(model)
    with pytest.raises(ValueError, match=r"Expected data .*; got minified data.*(Give|Load)"):
        getattr(model, call)()


@pytest.mark.filterwarnings("ignore:The groups of")
@pytest.mark.parametrize("test", ["differential_expression", "differential_accessibility"])
def test_differential_tests_need_values_unless_cells_are_compared(model, mdata, test):
    minified(model)
    asked = {"groupby": "cluster", "group1": "cluster_1", "modality": "atac", "silent": True}
    for more in ({}, {"compare": "cells"}, {"all_stats": False}):
        with pytest.raises(
            ValueError, match="with their values.*got minified data. Give such data as adata, or compare='cells'"
        ):
            getattr(model, test)(**asked, **more)
    assert len(getattr(model, test)(**asked, compare="cells", all_stats=False)) == mdata["atac"].n_vars
    assert len(getattr(model, test)(mdata, **asked)) == mdata["atac"].n_vars


def test_a_diagnosis_leaves_out_what_is_explained(model):
    before = model.diagnose()
    after = minified(model).diagnose()
    explained = ["explained", "explained_of_a_feature"]
    pd.testing.assert_frame_equal(
        before.modalities.drop(columns=explained), after.modalities.drop(columns=explained), rtol=1e-4
    )
    assert after.modalities[explained].isna().all(axis=None)
    assert after.features["explained"].isna().all()
    (new,) = set(after.verdict) - set(before.verdict)
    assert "hold no values: how much of them is explained is not known. Load the model" in new


SCORES = {"get_elbo": {}, "get_reconstruction_error": {}, "get_marginal_ll": {"n_mc_samples": 4}}


@pytest.mark.parametrize("score", SCORES)
def test_values_that_are_given_are_scored(model, mdata, trained, score):
    minified(model)
    found = [getattr(scored, score)(mdata, indices=[1, 2, 3], **SCORES[score]) for scored in (model, trained[0])]
    np.testing.assert_allclose(*(pd.Series(one).astype(float) for one in found), rtol=1e-4)


def test_values_may_be_given(model, mdata, trained):
    minified(model)
    expected = trained[0].leave_one_out(indices=[1, 2])
    assert np.allclose(model.leave_one_out(mdata, indices=[1, 2]), expected, atol=1e-3, equal_nan=True)


def test_values_that_are_kept_are_scored(model, mdata):
    expected = model.get_elbo()
    minified(model, WITH_COUNTS)
    assert float(model.get_elbo()) == pytest.approx(float(expected), rel=1e-5)
    assert np.isfinite(model.leave_one_out(indices=[1]).to_numpy()).any()
    with pytest.raises(ValueError, match="data to train on; got minified data"):
        model.train(1)


def test_depths_are_kept(model):
    def factors():
        tensors = next(iter(model._make_data_loader(model.adata, indices=[5, 3, 8])))
        return model.module.minibatch(tensors).size_factors

    before = factors()
    minified(model)
    assert all(torch.equal(values, before[name]) for name, values in factors().items())
    assert model.adata.mod["rna"].obs["observed_lib_size"].min() > 1


@pytest.mark.parametrize("way", [POSTERIORS, WITH_COUNTS])
def test_a_saved_model_finds_its_minified_data(model, trained, folder, tmp_path, way):
    model.save(tmp_path / "whole", save_anndata=True)
    minified(model, way).save(tmp_path / "small", save_anndata=True)
    again = MultiVAE.load(tmp_path / "small")
    assert again.minified_data_type == way
    expected = trained[0].get_latent_representation()
    assert np.allclose(again.get_latent_representation(), expected, atol=1e-5)
    assert again.registry_["setup_method_name"] == "setup_mudata"
    if way == POSTERIORS:
        sizes = [(tmp_path / name / "mdata.h5mu").stat().st_size for name in ("whole", "small")]
        assert sizes[1] < sizes[0]
        assert np.allclose(MultiVAE.load(tmp_path / "small", trained[1]).get_latent_representation(), expected)


def test_other_data_are_mapped_onto_a_minified_reference(model, mdata, tmp_path):
    with unpulled():
        query = mdata[:50].copy()
    query.obs["batch"] = "new"
    minified(model).save(tmp_path / "reference", save_anndata=True)
    for reference in (model, str(tmp_path / "reference")):
        mapped = MultiVAE.load_query_data(query, reference)
        assert mapped.minified_data_type is None
        mapped.train(1, accelerator="cpu", enable_progress_bar=False)
        own = mapped.get_latent_representation(model.adata, indices=[3, 60])
        assert np.allclose(own, model.get_latent_representation(indices=[3, 60]), atol=1e-5)


@pytest.mark.parametrize("way", [POSTERIORS, WITH_COUNTS])
def test_minified_data_may_stay_in_files(model, trained, tmp_path, way):
    minified(model, way).save(tmp_path / "m", save_anndata=True)
    backed = mmvae.pp.read_backed(tmp_path / "m" / "mdata.h5mu")
    again = MultiVAE.load(tmp_path / "m", backed)
    expected = trained[0].get_latent_representation()
    assert np.allclose(again.get_latent_representation(), expected, atol=1e-5)
    stream = mmvae.MosaicDataModule(backed).inference_dataloader(batch_size=64)
    assert np.allclose(again.get_latent_representation(dataloader=stream), expected, atol=1e-5)


def test_cells_may_be_chosen(model, trained):
    with unpulled():
        part = minified(model).adata[10:40].copy()
    expected = trained[0].get_latent_representation(indices=np.arange(10, 40))
    assert np.allclose(model.get_latent_representation(part), expected, atol=1e-5)


def test_posteriors_of_other_weights_are_refused(model, folder, mdata):
    other = minified(MultiVAE.load(folder, mdata)).adata
    assert model.get_latent_representation(other).shape == (200, 15)
    model.train(1, accelerator="cpu", enable_progress_bar=False)
    with pytest.raises(ValueError, match="data that this model has minified as it is; got some that another did"):
        model.get_latent_representation(other)


def test_data_that_lost_a_posterior_are_refused(model):
    data = minified(model).adata
    with unpulled():
        part = data[10:40].copy()
    del part.mod["rna"].obsm["X_latent_qzv"]
    with pytest.raises(SetupError, match=r"modality 'rna' is minified and lacks obsm\['X_latent_qzv'\]"):
        model.get_latent_representation(part)


def test_minified_data_are_not_set_up_for_a_new_model(model):
    with pytest.raises(SetupError, match="the data are minified: they hold posteriors of a trained model"):
        MultiVAE.setup_mudata(minified(model).adata)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda m: m.minify_adata(), "setup_anndata; got data registered with setup_mudata. Use minify_mudata"),
        (lambda m: m.minify_mudata("posterior"), "one of .*; got 'posterior'"),
        (lambda m: m.minify_mudata(use_latent_qzm_key="a", use_latent_qzv_key="a"), "two keys that differ"),
    ],
    ids=["of an AnnData", "unknown way", "one key"],
)
def test_what_cannot_be_minified_so_is_refused(model, mdata, call, match):
    with pytest.raises(ValueError, match=match):
        call(model)
    assert model.adata is mdata


def test_values_do_not_come_back(model):
    minified(model)
    with pytest.raises(ValueError, match="data with values, to keep them; got minified data"):
        model.minify_mudata(WITH_COUNTS)


def test_kept_values_may_go_later(model, trained):
    minified(minified(model, WITH_COUNTS))
    assert model.minified_data_type == POSTERIORS
    assert np.allclose(model.get_latent_representation(), trained[0].get_latent_representation(), atol=1e-5)


def test_keys_may_be_chosen(model, tmp_path):
    model.minify_mudata(use_latent_qzm_key="mean", use_latent_qzv_key="variance")
    assert model.adata.mod["atac"].obsm["mean"].shape == (model.adata.mod["atac"].n_obs, 5)
    assert (model.adata.mod["atac"].obsm["variance"] > 0).all()
    assert Minification.of(model.adata).mean == "mean"


def test_a_model_of_an_anndata_is_minified_too(trained, tmp_path):
    rna = AnnData(trained[1]["rna"].X, layers={"more": trained[1]["rna"].X.copy()})
    rna.obs["depth"] = np.linspace(1, 2, rna.n_obs)
    MultiVAE.setup_anndata(rna, size_factor_key="depth")
    model = MultiVAE(rna, n_hidden=8, n_latent=3)
    model.train(1, accelerator="cpu", enable_progress_bar=False)
    latent = model.get_latent_representation()
    with pytest.raises(ValueError, match="Use minify_adata"):
        model.minify_mudata()
    model.minify_adata()
    assert list(model.adata.layers) in ([], [None])
    model.save(tmp_path / "m", save_anndata=True)
    assert np.allclose(MultiVAE.load(tmp_path / "m").get_latent_representation(), latent, atol=1e-5)


@pytest.mark.parametrize(
    ("fusion", "prior"),
    [("concat", "coupled"), ("attention", "mmvm"), ("poe", "mog"), ("mopoe", "normal"), ("concat", "gmrf")],
)
def test_all_kinds_of_models_are_minified(in_a_ring, fusion, prior):
    mdata = mmvae.datasets.simulate(60, modalities={"rna": 20, "protein": 6}, missing=0.4, seed=1)
    if prior == "gmrf":
        in_a_ring(mdata)
    MultiVAE.setup_mudata(mdata)
    model = MultiVAE(mdata, n_hidden=8, n_latent=3, fusion=fusion, prior=prior)
    model.train(2, accelerator="cpu", enable_progress_bar=False)
    reads = [READINGS[name] for name in ("fused", "imputation", "information", "outliers")]
    expected = [read(model) for read in reads]
    minified(model)
    for read, values in zip(reads, expected, strict=True):
        assert np.allclose(read(model), values, atol=1e-5, equal_nan=True)
