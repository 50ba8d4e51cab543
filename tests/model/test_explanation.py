"""What features do to latents, and latents to features."""

from __future__ import annotations

import copy
import sys
import warnings

import mudata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch

import mmvae
from mmvae import MultiVAE
from mmvae.data import presence_of
from mmvae.model._reader import Reader
from mmvae.model.readouts import _effects
from mmvae.model.readouts._explained import Deviances

pytest.importorskip("captum")
LATENTS = [("concat", "mog"), ("attention", "mog"), ("poe", "mog"), ("mopoe", "mog"), ("concat", "coupled")]
ENOUGH_STEPS = 400


@pytest.fixture(scope="module", params=LATENTS, ids="-".join)
def model(request):
    """A model of each kind of latent, of an epoch and so with decoders that are no linear maps."""
    fusion, prior = request.param
    mdata = mmvae.datasets.simulate(60, modalities={"rna": 30, "protein": 8}, n_clusters=3, missing=0.2, seed=1)
    MultiVAE.setup_mudata(mdata)
    model = MultiVAE(mdata, n_latent=3, n_hidden=16, fusion=fusion, prior=prior)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.train(6, lr=2e-2, accelerator="cpu", enable_progress_bar=False)
    return model


def having(model, *names):
    """Numbers of the cells that have all of these modalities."""
    presence = presence_of(model.adata, list(names))
    return np.flatnonzero(presence.all(axis=1))


def decoded(model, name, cells, step):
    """Log2 of the rates at the cells' latents plus a step, in double precision."""
    minibatch = next(Reader(model).minibatches(None, cells))
    fused = torch.as_tensor(model.get_latent_representation(indices=cells, modality="unweighted"))
    with torch.no_grad():
        exact = copy.deepcopy(model.module).double()
        rates = exact.rates(name, fused.double() + torch.as_tensor(step), minibatch.covariates).numpy()
    return np.log2(rates + 0.1 * rates.mean(axis=1, keepdims=True))


def test_a_loading_is_the_log_fold_change_along_the_dimension(model):
    cells = np.arange(20)
    found = model.get_loadings("rna", indices=cells)
    latent = model.get_latent_representation(indices=cells, modality="unweighted")
    assert list(found.index) == list(model.adata["rna"].var_names)
    assert found.shape[1] == latent.shape[1]
    for column in (0, latent.shape[1] - 1):
        step = np.zeros(latent.shape[1])
        step[column] = 1e-4 * latent[:, column].std()
        change = decoded(model, "rna", cells, step) - decoded(model, "rna", cells, -step)
        np.testing.assert_allclose(found.iloc[:, column], change.mean(axis=0) / 2e-4, atol=2e-4, rtol=2e-3)


def test_loadings_of_a_modalitys_own_latent_are_among_those_of_all(model):
    every = model.get_loadings("protein", n_cells=10)
    own = model.get_loadings("protein", "rna", n_cells=10)
    pd.testing.assert_frame_equal(own, every[own.columns])
    assert own.shape[1] == 3


def test_attributions_add_up_to_the_difference_of_the_target(model):
    both = having(model, "rna", "protein")
    cell, other = both[:2]
    latents = model.get_latent_representation(indices=[cell, other], modality="unweighted")
    name = model.get_loadings("rna", n_cells=5).columns[0]
    found = model.get_attributions(name, indices=[cell], reference=[other], n_steps=ENOUGH_STEPS)
    assert set(found.index.get_level_values("modality")) == {"rna", "protein"}
    assert found["attribution"].sum() == pytest.approx(latents[0, 0] - latents[1, 0], abs=5e-3, rel=5e-3)


def test_a_feature_is_explained_by_the_other_modalities(model):
    both = having(model, "rna", "protein")
    cell, other = both[:2]
    rates = model.impute("protein", indices=[cell, other]).to_numpy()
    values = np.log2(rates + 0.1 * rates.mean(axis=1, keepdims=True))[:, 2]
    feature = model.adata["protein"].var_names[2]
    found = model.get_attributions(f"protein:{feature}", indices=[cell], reference=[other], n_steps=ENOUGH_STEPS)
    assert set(found.index.get_level_values("modality")) == {"rna"}
    assert len(found) == 30
    assert found["attribution"].sum() == pytest.approx(values[0] - values[1], abs=5e-3, rel=5e-3)
    assert (found["importance"].diff().dropna() <= 0).all()


@pytest.fixture
def three(trained):
    """The model of the session, of three modalities."""
    return trained[0]


@pytest.mark.filterwarnings("ignore:The modalities agree on nothing")
def test_shared_directions_have_loadings_and_attributions(three):
    shared = three.get_latent_representation(modality="shared")
    loadings = three.get_loadings("protein", "shared")
    assert list(loadings) == [f"shared_{k}" for k in range(shared.shape[1])]
    assert np.isfinite(loadings.to_numpy()).all()
    cell, other = having(three, *three.modalities)[:2]
    found = three.get_attributions("shared_0", indices=[cell], reference=[other], n_steps=ENOUGH_STEPS)
    assert found["attribution"].sum() == pytest.approx(shared[cell, 0] - shared[other, 0], abs=2e-3, rel=5e-3)


def test_components_have_the_fold_changes_that_name_their_top_features(three):
    found = three.get_loadings("protein", "rna", components=True)
    summary = three.prior_summary(3).query("latent == 'rna'").set_index("component")["top_protein"]
    for component, words in summary[summary != ""].items():
        assert words == ", ".join(found[f"component_{component}"].nlargest(3).index)


def test_components_are_those_of_a_latent_that_is_named_unless_it_is_the_only_one(model):
    latents = list(model.module.priors)
    if len(latents) == 1:
        of_only_one = model.get_loadings("protein", components=True)
        pd.testing.assert_frame_equal(of_only_one, model.get_loadings("protein", "rna", components=True))
    else:
        with pytest.raises(ValueError, match=r"Expected representation as one of \['rna', 'protein'\].*got 'fused'"):
            model.get_loadings("protein", components=True)


@pytest.mark.parametrize("method", ["loadings", "attributions", "deviance"])
def test_few_values_at_a_time_give_the_same(three, method, monkeypatch):
    calls = {
        "loadings": lambda: three.get_loadings("protein", n_cells=50),
        "attributions": lambda: three.get_attributions("rna_1", n_cells=50, n_steps=5).sort_index(),
        "deviance": lambda: three.get_deviance_explained(n_cells=50),
    }
    at_once = calls[method]()
    monkeypatch.setattr(_effects, "MOST_VALUES", 2_000)
    pd.testing.assert_frame_equal(calls[method](), at_once, atol=1e-5, rtol=1e-3)


def test_sparse_and_dense_values_have_the_same_attributions(three, trained):
    mdata = trained[1]
    other = mudata.MuData({name: adata.copy() for name, adata in mdata.mod.items()})
    other.obs["batch"] = mdata.obs["batch"]
    for adata in other.mod.values():
        adata.X = adata.X.toarray() if sp.issparse(adata.X) else sp.csr_matrix(adata.X)
    found = three.get_attributions("atac_0", other).sort_index()
    own = three.get_attributions("atac_0").sort_index()
    pd.testing.assert_frame_equal(found, own, atol=1e-5, rtol=1e-3)


def test_what_a_cell_lacks_has_no_attribution(three):
    presence = presence_of(three.adata, three.modalities)
    lacking = np.flatnonzero(~presence[:, 0] & presence[:, 1:].any(axis=1))[:1]
    found = three.get_attributions("rna_0", indices=lacking)
    assert "rna" not in found.index.get_level_values("modality")
    with pytest.raises(ValueError, match="Expected cells with rna for rna_0; got none"):
        three.get_attributions("rna_0", indices=lacking, sources=["rna"])


def test_the_sign_of_a_slope_says_which_way_a_feature_moves_the_target(three):
    # Of one source the encoder of which is made to read one feature alone, and with it to fall.
    encoder, before = three.module.encoders["rna"], three.module.state_dict()
    before = {key: value.clone() for key, value in before.items()}
    try:
        with torch.no_grad():
            encoder.input.weight[1:] = 0.0
        found = three.get_attributions("rna_0", sources="rna", n_cells=60)
        assert (found["importance"] > 0).sum() == 1
        feature = found.index[0][1]
        assert feature == three.adata["rna"].var_names[0]
        cells = having(three, "rna")
        values = np.asarray(three.adata["rna"][three.adata.obs_names[cells], feature].X.todense()).ravel()
        totals = np.asarray(three.adata["rna"][three.adata.obs_names[cells]].X.sum(axis=1)).ravel()
        latent = three.get_latent_representation(indices=cells, modality="rna")[:, 0]
        slope = np.polyfit(np.log1p(values * np.median(totals) / totals), latent, 1)[0]
        assert np.sign(found["slope"].iloc[0]) == np.sign(slope)
    finally:
        three.module.load_state_dict(before)


@pytest.mark.parametrize(
    ("method", "arguments", "message"),
    [
        ("get_loadings", {"modality": "rna", "representation": "rnb"}, "Expected representation as one of"),
        ("get_loadings", {"modality": "rnb"}, "Expected a modality"),
        ("get_loadings", {"modality": "rna", "n_cells": 0}, "n_cells as a whole number above 0"),
        ("get_loadings", {"modality": "rna", "components": True}, "Expected representation as one of"),
        ("get_attributions", {"target": "rna_99"}, "Expected a target such as 'rna:"),
        ("get_attributions", {"target": "shared_99"}, "Expected a target such as 'rna:"),
        ("get_attributions", {"target": "protein:CD0"}, "feature of 'protein'; 'CD0' is unknown"),
        ("get_attributions", {"target": "rna_0", "sources": ["lipids"]}, "Expected a modality"),
        ("get_attributions", {"target": "rna_0", "sources": []}, "Expected sources among"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
@pytest.mark.filterwarnings("ignore:The modalities agree on nothing")
def test_what_cannot_be_explained_is_said(three, method, arguments, message):
    with pytest.raises(ValueError, match=message):
        getattr(three, method)(**arguments)


def test_without_captum_it_is_said_what_to_install(three, monkeypatch):
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "mmvae\[explain\]"'):
        three.get_attributions("rna_0")


def test_deviance_explained_by_dimension(three):
    found = three.get_deviance_explained()
    assert list(found) == three.modalities
    assert list(found.index) == ["all", *three.get_loadings("rna", n_cells=5).columns]
    assert (found.loc["all"] < 1).all()


def test_held_at_its_mean_a_dimension_is_lost():
    """A model of one dimension: without it nothing but depth and the mean is left."""
    mdata = mmvae.datasets.simulate(150, modalities={"rna": 40}, n_clusters=2, n_batches=1, seed=0)
    MultiVAE.setup_mudata(mdata)
    model = MultiVAE(mdata, n_latent=1, n_hidden=16, prior="normal")
    model.train(25, lr=2e-2, accelerator="cpu", enable_progress_bar=False)
    found = model.get_deviance_explained()["rna"]
    assert found["all"] > 0.1
    assert found["rna_0"] == pytest.approx(found["all"], abs=0.1)


@pytest.mark.parametrize("of_mean", [0.0, 1e-6, 1e6])
def test_shares_of_next_to_no_deviance_are_unknown(of_mean):
    model, without = torch.tensor([1.0, 2.0]).double(), torch.tensor([4.0, 3.0]).double()
    found = Deviances(torch.tensor([of_mean, 0.0]).double(), model, without)
    expected = (without.numpy() - 3.0) / of_mean if of_mean > 1 else [np.nan, np.nan]
    np.testing.assert_allclose(found.lost(), expected)
    assert np.isnan(found.share()) == (of_mean < 1)
