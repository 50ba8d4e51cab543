"""Data that were changed since the set-up are noticed; what is no change is not."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
import scipy.sparse as sp

import mmvae
from mmvae import MultiVAE, SetupError
from mmvae._compat import unpulled
from mmvae.data.setup._unchanged import Sums

N = 60


def simulated(missing=None, seed=0):
    mdata = mmvae.datasets.simulate(
        N, modalities={"rna": 20, "protein": 6}, n_clusters=3, n_batches=2, missing=missing, seed=seed
    )
    mdata["rna"].layers["counts"] = mdata["rna"].X.copy()
    mdata.obs["age"] = np.linspace(20, 80, N)
    return mdata


def set_up(mdata, **arguments):
    MultiVAE.setup_mudata(mdata, batch_key="batch", continuous_covariate_keys=["age"], **arguments)
    return MultiVAE(mdata, n_hidden=8, n_latent=2)


def trained(mdata, **arguments):
    model = set_up(mdata, **arguments)
    model.train(max_epochs=2, enable_progress_bar=False, accelerator="cpu")
    return model


pytestmark = pytest.mark.filterwarnings("ignore:The latent of", "ignore:The validation ELBO never")


def log_normalise(mdata):
    sc.pp.normalize_total(mdata["rna"])
    sc.pp.log1p(mdata["rna"])


def put(mdata, name, value, row=3):
    mdata[name].X = mdata[name].X.toarray().astype(np.float64) if sp.issparse(mdata[name].X) else mdata[name].X.copy()
    mdata[name].X[row, 0] = value


def reverse_cells(mdata):
    mdata.mod["rna"] = mdata["rna"][::-1].copy()


def put_obs(mdata, key, values):
    mdata.obs[key] = values


def add_cells(mdata):
    new = mdata["rna"][:5].copy()
    new.obs_names = [f"new_{i}" for i in range(5)]
    with unpulled():
        mdata.mod["rna"] = ad.concat([mdata["rna"], new])
        mdata.update()


# what is done to the data after the set-up, and words that the message must hold
CHANGES = {
    "modality filtered": (
        lambda m: m["rna"]._inplace_subset_obs(np.arange(N) >= 20),
        ["'rna' was changed", "mdata.update()"],
    ),
    "modality in another order": (reverse_cells, ["'rna' was changed"]),
    "logarithms": (log_normalise, ["modality 'rna', X", "not those that were set up", "set the data up again"]),
    "a NaN": (lambda m: put(m, "rna", np.nan), ["in 1 of", "'cell_3'"]),
    "a negative value": (lambda m: put(m, "protein", -1), ["modality 'protein'", "in 1 of", "'cell_3'"]),
    "one count more": (lambda m: put(m, "protein", m["protein"].X[3, 0] + 1), ["modality 'protein'", "'cell_3'"]),
    "features in another order": (
        lambda m: m["rna"]._inplace_subset_var(np.arange(20)[::-1]),
        ["modality 'rna'", "another order"],
    ),
    "names of features in another order": (
        lambda m: setattr(m["rna"], "var_names", list(m["rna"].var_names[::-1])),
        ["another order"],
    ),
    "values of features in another order": (
        lambda m: setattr(m["rna"], "X", m["rna"].X[:, ::-1].copy()),
        ["values are not"],
    ),
    "features renamed": (
        lambda m: setattr(m["rna"], "var_names", [f"x{i}" for i in range(20)]),
        ["20 are missing", "20 are new"],
    ),
    "fewer features": (lambda m: m["rna"]._inplace_subset_var(np.arange(10)), ["10 are missing", "0 are new"]),
    "no modality": (lambda m: m.mod.pop("rna"), ["modality 'rna' is gone"]),
    "no values": (lambda m: setattr(m["rna"], "X", None), ["modality 'rna', X", "got nothing"]),
    "obsmap edited": (
        lambda m: m.obsmap.__setitem__("rna", np.roll(np.asarray(m.obsmap["rna"]).ravel(), 1)),
        ["'rna' was changed", "obsmap"],
    ),
    "cells added": (add_cells, ["the data have 5 cells, such as 'new_0'", "'rna' has 5 cells", "not set up"]),
    "other codes": (
        lambda m: put_obs(m, "_scvi_batch", 1 - m.obs["_scvi_batch"].to_numpy()),
        ["obs['_scvi_batch'], which the set-up wrote: not what was set up, in 60 cells, such as 'cell_0'"],
    ),
    "other covariates": (
        lambda m: m.obsm["_scvi_extra_continuous_covs"].iloc.__setitem__((7, 0), 9.0),
        ["obsm['_scvi_extra_continuous_covs']", "in 1 cells, such as 'cell_7'"],
    ),
    "no registered column": (lambda m: m.obs.__delitem__("_scvi_batch"), ["obs['_scvi_batch']", "is gone"]),
    "no registered covariates": (
        lambda m: m.obsm.__delitem__("_scvi_extra_continuous_covs"),
        ["obsm['_scvi_extra_continuous_covs']", "is gone"],
    ),
}


@pytest.mark.parametrize("case", CHANGES)
def test_a_change_is_named_before_anything_is_read_or_trained(case):
    change, words = CHANGES[case]
    mdata = simulated()
    model = set_up(mdata)
    model.is_trained_ = True
    change(mdata)
    for method in (model.get_latent_representation, model.get_elbo, lambda: model.train(max_epochs=1)):
        with pytest.raises(SetupError) as caught:
            method()
        for word in words:
            assert word in str(caught.value)


@pytest.mark.parametrize("case", ["modality in another order", "logarithms"])
def test_a_change_between_set_up_and_model_is_named(case):
    mdata = simulated()
    MultiVAE.setup_mudata(mdata)
    CHANGES[case][0](mdata)
    with pytest.raises(SetupError):
        MultiVAE(mdata)


def test_a_layer_is_watched_and_x_beside_it_is_not():
    mdata = simulated()
    model = trained(mdata, layers={"rna": "counts"})
    expected = model.get_latent_representation()
    log_normalise(mdata)
    np.testing.assert_array_equal(model.get_latent_representation(), expected)
    del mdata["rna"].layers["counts"]
    with pytest.raises(SetupError, match="layer 'counts' is gone"):
        model.get_latent_representation()


def test_other_data_that_were_read_before_are_watched_too():
    model, other = trained(simulated()), simulated(seed=1)
    model.get_latent_representation(other)
    log_normalise(other)
    with pytest.raises(SetupError, match="not those that were set up"):
        model.get_latent_representation(other)


def test_data_are_set_up_again_after_a_change():
    mdata = simulated()
    model = trained(mdata)
    reverse_cells(mdata)
    with unpulled():
        mdata.update()
    mdata["rna"].X = mdata["rna"].X * 2
    again = trained(mdata)
    assert np.isfinite(again.get_latent_representation()).all()
    with pytest.raises(SetupError, match="not those that were set up"):
        model.get_latent_representation()


def test_what_is_put_back_is_read_as_before():
    mdata = simulated()
    model = trained(mdata)
    expected = model.get_latent_representation()
    log_normalise(mdata)
    mdata["rna"].X = mdata["rna"].layers["counts"].astype(np.int64)
    np.testing.assert_array_equal(model.get_latent_representation(), expected)


@pytest.mark.parametrize("missing", [None, 0.3])
def test_a_copy_of_some_cells_is_read_as_they_were(missing):
    mdata = simulated(missing)
    model = trained(mdata)
    expected = pd.DataFrame(model.get_latent_representation(), index=mdata.obs_names)
    keep = np.arange(N) % 3 > 0
    with unpulled():
        for part in (mdata[keep].copy(), mdata[keep]):
            found = model.get_latent_representation(part)
            np.testing.assert_allclose(found, expected.loc[part.obs_names], atol=1e-5)


@pytest.mark.filterwarnings("ignore:Category .* has fewer than 3 cells")
def test_a_few_cells_may_be_of_as_many_batches():
    mdata = mmvae.datasets.simulate(N, modalities={"rna": 20, "protein": 6}, n_clusters=3, n_batches=3)
    MultiVAE.setup_mudata(mdata, batch_key="batch")
    model = MultiVAE(mdata, n_hidden=8, n_latent=2)
    model.train(max_epochs=2, enable_progress_bar=False, accelerator="cpu")
    rows = np.sort(np.unique(mdata.obs["batch"].astype(str), return_index=True)[1])
    with unpulled():
        few = mdata[rows].copy()
    np.testing.assert_allclose(
        model.get_latent_representation(few), model.get_latent_representation(indices=rows), atol=1e-5
    )


@pytest.mark.parametrize("missing", [None, 0.3])
def test_cells_may_be_left_out_of_the_whole_in_place(missing):
    mdata = simulated(missing)
    model = trained(mdata)
    expected = pd.DataFrame(model.get_latent_representation(), index=mdata.obs_names)
    keep = mdata.obs_names[np.arange(N) % 3 > 0]
    with unpulled():
        for adata in mdata.mod.values():
            adata._inplace_subset_obs(adata.obs_names.isin(keep))
        mdata.update()
    found = model.get_latent_representation()
    np.testing.assert_allclose(found, expected.loc[mdata.obs_names], atol=1e-5)


def test_cells_of_an_anndata_may_be_left_out_and_named_anew():
    adata = simulated()["rna"].copy()
    MultiVAE.setup_anndata(adata)
    model = MultiVAE(adata, n_hidden=8, n_latent=2)
    model.train(max_epochs=2, enable_progress_bar=False, accelerator="cpu")
    expected = model.get_latent_representation()
    adata.obs_names = "new " + adata.obs_names
    np.testing.assert_array_equal(model.get_latent_representation(), expected)
    adata.X = adata.X * 2
    with pytest.raises(SetupError, match="not those that were set up"):
        model.get_latent_representation()


@pytest.mark.filterwarnings("ignore:Observation names are not unique")
def test_cells_of_an_anndata_may_share_names():
    adata = simulated()["rna"].copy()
    adata.obs_names = ["cell"] * N
    MultiVAE.setup_anndata(adata)
    model = MultiVAE(adata, n_hidden=8, n_latent=2)
    model.train(max_epochs=2, enable_progress_bar=False, accelerator="cpu")
    assert model.get_latent_representation().shape == (N, 2)
    adata.X = adata.X * 2
    with pytest.raises(SetupError, match="not those that were set up"):
        model.get_latent_representation()


def test_registering_again_keeps_what_was_learnt_from_all_cells():
    """Another model's set-up makes the first register its data again; codes and scales must stay what they were."""
    mdata = simulated()
    model = trained(mdata)
    expected = pd.DataFrame(model.get_latent_representation(), index=mdata.obs_names)
    keep = mdata.obs_names[mdata.obs["batch"].to_numpy() == "batch_1"]
    with unpulled():
        for adata in mdata.mod.values():
            adata._inplace_subset_obs(adata.obs_names.isin(keep))
        mdata.update()
    MultiVAE.setup_mudata(mdata)
    found = model.get_latent_representation()
    np.testing.assert_allclose(found, expected.loc[mdata.obs_names], atol=1e-5)
    values = model.get_normalized_expression(modality="rna")
    assert np.isfinite(values).all(axis=None)
    assert set(mdata.obs["_scvi_batch"]) == {1}


COLUMNS = {
    "batch": lambda m: put_obs(m, "batch", np.where(np.arange(N) < 30, "batch_0", "batch_1")),
    "age": lambda m: put_obs(m, "age", m.obs["age"] / 10),
}


@pytest.mark.parametrize("key", COLUMNS)
def test_a_user_s_column_that_was_changed_is_not_trained_on_and_what_was_registered_is_read(key):
    mdata = simulated()
    model = trained(mdata)
    expected = model.get_normalized_expression(modality="rna")
    COLUMNS[key](mdata)
    with pytest.raises(SetupError, match=f"the column of key '{key}': not what was set up"):
        model.train(max_epochs=1)
    pd.testing.assert_frame_equal(model.get_normalized_expression(modality="rna"), expected)
    again = set_up(mdata)  # of the new column
    pd.testing.assert_frame_equal(model.get_normalized_expression(modality="rna"), expected)
    again.train(max_epochs=1, enable_progress_bar=False, accelerator="cpu")
    pd.testing.assert_frame_equal(model.get_normalized_expression(modality="rna"), expected)


def test_a_user_s_column_that_was_changed_between_set_up_and_model_is_named():
    mdata = simulated()
    MultiVAE.setup_mudata(mdata, batch_key="batch")
    COLUMNS["batch"](mdata)
    with pytest.raises(SetupError, match="the column of key 'batch': not what was set up, in .* cells"):
        MultiVAE(mdata)


def test_levels_that_no_cell_has_may_come_and_columns_go():
    mdata = simulated()
    model = trained(mdata)
    mdata.obs["batch"] = mdata.obs["batch"].astype("category").cat.add_categories(["batch_9"])
    del mdata.obs["age"]
    model.train(max_epochs=1, enable_progress_bar=False, accelerator="cpu")
    assert model.summary_stats.n_batch == 2


@pytest.mark.parametrize("way", ["latent_posterior_parameters", "latent_posterior_parameters_with_counts"])
def test_posteriors_of_minified_data_are_watched(way):
    model = trained(simulated())
    model.minify_mudata(way)
    model.get_latent_representation()
    model.adata["rna"].obsm["X_latent_qzm"][7] += 1
    with pytest.raises(
        SetupError, match="'rna', the posteriors that minified data hold.* in 1 cells, such as 'cell_7'"
    ):
        model.get_latent_representation()


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int64", "float16", "float64"])
@pytest.mark.parametrize("store", [np.asarray, sp.csr_matrix, sp.csc_matrix])
def test_values_of_any_type_are_the_same_as_themselves(store, dtype):
    if dtype == "float16" and store is not np.asarray:
        pytest.skip("scipy has no sparse half precision")
    values = np.zeros((4, 3), dtype=dtype)
    values[0, 0] = 1 if dtype == "bool" else np.iinfo(dtype).min if "int" in dtype else -60_000
    values[1, 2] = 1
    matrix = store(values)
    sums, places = Sums.of(matrix), np.arange(4)
    assert not sums.differ(places, matrix).any()
    values[1, 2], values[1, 1] = 0, 1
    assert sums.differ(places, store(values)).tolist() == [False, True, False, False]
    assert not sums.differ(np.array([0, -1, 2, 3]), store(values)).any()
