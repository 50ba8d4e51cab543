"""Every bad input gives the documented exception, says what is wrong, and leaves the data as they were."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from mudata import MuData
from snapshots import assert_same, snapshot

import mmvae
from mmvae import MultiVAE, SetupError
from mmvae._compat import unpulled

N = 40


@pytest.fixture
def mdata() -> MuData:
    made = mmvae.datasets.simulate(N, modalities={"rna": 12, "atac": 15, "protein": 6}, n_clusters=3, seed=3)
    made.obs["age"] = np.linspace(1, 2, N)
    return made


def change(mdata: MuData, name: str, row: int, value: float) -> None:
    values = mdata[name].X.toarray() if sp.issparse(mdata[name].X) else np.array(mdata[name].X)
    values = values.astype(np.float64)
    values[row, 0] = value
    mdata.mod[name].X = values


def set_obs(mdata: MuData, key: str, values) -> None:
    mdata.obs[key] = values


def missing_in(values, n: int = 3):
    out = pd.Series(values, dtype=object).copy()
    out.iloc[:n] = None
    return out.to_numpy()


def rebuilt(**modalities) -> MuData:
    with unpulled():
        return MuData(modalities)


def counts(n: int, prefix: str, cells: str = "cell", features: int = 5) -> ad.AnnData:
    x = sp.csr_matrix(np.random.default_rng(0).poisson(2.0, (n, features)).astype(np.float32))
    made = ad.AnnData(x)
    made.obs_names, made.var_names = [f"{cells}_{i}" for i in range(n)], [f"{prefix}_{i}" for i in range(features)]
    return made


def only_layers(mdata: MuData) -> None:
    mdata["rna"].layers["umis"] = mdata["rna"].X
    mdata["rna"].X = None


def only_raw(mdata: MuData) -> None:
    mdata["rna"].raw = mdata["rna"]
    mdata["rna"].X = None


def numbered(mdata: MuData) -> MuData:
    adata = counts(N, "g")
    adata.obs.index = pd.RangeIndex(N)
    return rebuilt(rna=adata)


def repeated(adata: ad.AnnData) -> ad.AnnData:
    adata.obs_names = ["cell_0", *adata.obs_names[:-1]]
    return adata


def value_of(dtype: str):
    return {"string": "a", "boolean": True, "Int64": 1}[dtype]


# name: (what to do to the data or what to use instead, arguments, words that the message must hold)
CASES = {
    "NaN": (lambda m: change(m, "rna", 4, np.nan), {}, ["'rna'", "1 values are NaN or infinite", "drop"]),
    "infinity": (lambda m: change(m, "atac", 4, np.inf), {}, ["'atac'", "NaN or infinite"]),
    "negative counts": (
        lambda m: change(m, "rna", 4, -1),
        {"likelihoods": {"rna": "nb"}},
        ["'rna'", "negative", "layers="],
    ),
    "fractions under counts": (
        lambda m: change(m, "rna", 4, 3.57),
        {"likelihoods": {"rna": "nb"}},
        ["3.57", "not integers", "layers="],
    ),
    "negative value among counts": (
        lambda m: change(m, "protein", 4, -1),
        {},
        ["'protein', X: 1 values are negative, such as -1, in cells such as 'cell_4'", "layers=", "'normal'"],
    ),
    "fraction among counts": (
        lambda m: change(m, "rna", 4, 0.5),
        {},
        ["'rna', X: 1 values are not integers, such as 0.5, in cells such as 'cell_4'", "layers="],
    ),
    **{
        f"{value:g}": (
            lambda m, value=value: change(m, "rna", 4, value),
            {},
            ["'rna'", "1 values are NaN or infinite, or beyond 1e+18", f"{value:g}", "'cell_4'"],
        )
        for value in (1e39, 1e19, -1e19)
    },
    "nothing but zeros": (
        lambda m: setattr(m.mod["protein"], "X", np.zeros((N, 6))),
        {},
        ["'protein', X: every value is 0, in all 40 cells", "modalities="],
    ),
    "nothing but zeros, of real values": (
        lambda m: setattr(m.mod["protein"], "X", sp.csr_matrix((N, 6))),
        {"likelihoods": {"protein": "normal"}},
        ["every value is 0"],
    ),
    "several feature types": (
        lambda m: m["rna"].var.__setitem__("feature_types", ["Gene Expression"] * 7 + ["Peaks"] * 5),
        {},
        ["'rna' mixes feature types", "7 of 'Gene Expression', 5 of 'Peaks'", "split_modalities(mdata['rna'])"],
    ),
    "counts under bernoulli": (
        lambda m: change(m, "atac", 0, 7),
        {"likelihoods": {"atac": "bernoulli"}},
        ["go up to", "0 or 1", "poisson"],
    ),
    "fractions under poisson": (
        lambda m: change(m, "atac", 0, 0.5),
        {"likelihoods": {"atac": "poisson"}},
        ["'poisson' needs counts", "0.5"],
    ),
    "unknown batch": (None, {"batch_key": "bach"}, ["'bach' not found", "mdata.obs", "mdata['rna'].obs", "'batch'"]),
    "unknown labels": (None, {"labels_key": "clusters"}, ["'clusters'", "Did you mean 'cluster'"]),
    "unknown category": (None, {"categorical_covariate_keys": ["sex"]}, ["'sex' not found"]),
    "unknown number": (None, {"continuous_covariate_keys": ["agee"]}, ["'agee'", "'age'"]),
    "unknown size factor": (None, {"size_factor_keys": {"rna": "sf"}}, ["'sf' not found"]),
    "unknown of several batches": (None, {"batch_key": ["batch", "site"]}, ["'site' not found"]),
    "key of an unknown modality": (
        None,
        {"batch_key": "rnaa:batch"},
        ["key 'rnaa:batch': there is no modality 'rnaa', but ['rna', 'atac', 'protein']. Did you mean 'rna'?"],
    ),
    "missing batch": (
        lambda m: set_obs(m, "batch", missing_in(m.obs["batch"])),
        {"batch_key": "batch"},
        ["'batch'", "no value for 3 of 40"],
    ),
    **{
        f"missing {dtype} {argument.removesuffix('_key').removesuffix('_keys')}": (
            lambda m, dtype=dtype: set_obs(m, "site", pd.array([None] * 3 + [value_of(dtype)] * (N - 3), dtype=dtype)),
            {argument: "site" if argument == "batch_key" else ["site"]},
            ["'site'", "no value for 3 of 40", "'cell_0', 'cell_1', 'cell_2'"],
        )
        for dtype in ("string", "boolean", "Int64")
        for argument in ("batch_key", "categorical_covariate_keys", "prior_covariate_keys")
    },
    "missing category": (
        lambda m: set_obs(m, "site", missing_in(["a"] * N)),
        {"categorical_covariate_keys": ["site"]},
        ["'site'", "no value for 3"],
    ),
    "missing number": (
        lambda m: set_obs(m, "age", np.r_[np.nan, np.ones(N - 1)]),
        {"continuous_covariate_keys": ["age"]},
        ["'age'", "no value for 1"],
    ),
    "text for a number": (
        lambda m: set_obs(m, "age", ["old"] * N),
        {"continuous_covariate_keys": ["age"]},
        ["'old', not a finite number"],
    ),
    "infinite number": (
        lambda m: set_obs(m, "age", np.r_[np.inf, np.ones(N - 1)]),
        {"continuous_covariate_keys": ["age"]},
        ["not a finite number"],
    ),
    "absurd number": (
        lambda m: set_obs(m, "age", np.r_[1e31, np.ones(N - 1)]),
        {"continuous_covariate_keys": ["age"]},
        ["'age' (continuous) holds 1e+31", "unit"],
    ),
    "date for a number": (
        lambda m: set_obs(m, "age", pd.Timestamp("2020-01-31")),
        {"continuous_covariate_keys": ["age"]},
        ["'2020-01-31', not a finite number"],
    ),
    "size factor of zero": (
        lambda m: set_obs(m, "sf", np.zeros(N)),
        {"size_factor_keys": {"rna": "sf"}},
        ["not positive in 40 cells"],
    ),
    "size factor of another world": (
        lambda m: set_obs(m, "sf", np.r_[1e-39, np.ones(N - 1)]),
        {"size_factor_keys": {"rna": "sf"}},
        ["'sf' (size_factor) holds 1e-39, with a median of 1"],
    ),
    "size factors of another world": (
        lambda m: set_obs(m, "sf", np.full(N, 1e-300)),
        {"size_factor_keys": {"rna": "sf"}},
        ["'sf' (size_factor) holds 1e-300"],
    ),
    "absurd size factor": (
        lambda m: set_obs(m, "sf", np.r_[1e39, np.ones(N - 1)]),
        {"size_factor_keys": {"rna": "sf"}},
        ["'sf' (size_factor) holds 1e+39"],
    ),
    "no cells": (lambda m: m[:0].copy(), {}, ["there are no cells"]),
    "a batch per cell": (
        lambda m: set_obs(m, "batch", [f"b{i}" for i in range(N)]),
        {"batch_key": "batch"},
        ["40 categories for 40 cells"],
    ),
    "a key twice": (
        None,
        {"batch_key": "batch", "categorical_covariate_keys": ["batch"]},
        ["named more than once"],
    ),
    "unknown layer": (None, {"layers": {"rna": "counts"}}, ["no layer 'counts'; it has none. X is meant by None."]),
    "layer of an unknown modality": (None, {"layers": {"rnaa": None}}, ["layers", "'rnaa'", "Did you mean 'rna'"]),
    "unknown likelihood": (None, {"likelihoods": {"rna": "nbb"}}, ["'nbb'", "Did you mean 'nb'"]),
    "likelihood of an unknown modality": (None, {"likelihoods": {"adt": "nb"}}, ["likelihoods", "'adt'"]),
    "size factor of an unknown modality": (None, {"size_factor_keys": {"adt": "age"}}, ["size_factor_keys", "'adt'"]),
    "unknown modality": (None, {"modalities": {"rna": "gex"}}, ["'gex' is not in the MuData"]),
    "duplicate features": (
        lambda m: setattr(m.mod["rna"], "var_names", ["g"] * 12),
        {},
        ["mdata['rna'].var_names", "more than once", "'g'"],
    ),
    "modality shuffled in place": (
        lambda m: setattr(m.mod["rna"], "obs_names", list(m["rna"].obs_names[::-1])),
        {},
        ["'rna' was changed", "mdata.update()"],
    ),
    "text for values": (
        lambda m: setattr(m.mod["rna"], "X", np.full((N, 12), "a", dtype=object)),
        {},
        ["'rna'", "expected numbers", "of object"],
    ),
    "no values": (lambda m: setattr(m.mod["rna"], "X", None), {}, ["'rna'", "got nothing"]),
    "name with a slash": (lambda m: rebuilt(**{"at/ac": counts(N, "g")}), {}, ["'at/ac' cannot be used", "Rename"]),
    "name with a dot": (lambda m: rebuilt(**{"rna.1": counts(N, "g")}), {}, ["'rna.1' cannot be used", "Rename"]),
    "name of a torch method": (lambda m: rebuilt(keys=counts(N, "g")), {}, ["'keys' cannot be used"]),
    "reserved name": (lambda m: rebuilt(shared=counts(N, "g")), {}, ["'shared' cannot be used"]),
    "no features": (
        lambda m: rebuilt(rna=counts(N, "g"), atac=ad.AnnData(np.zeros((N, 0)), obs=counts(N, "g").obs)),
        {},
        ["'atac' has no features"],
    ),
    "no common cell": (
        lambda m: rebuilt(rna=counts(N, "g"), atac=counts(N, "p", "other")),
        {},
        ["no cell connects", "['rna']", "['atac']"],
    ),
    "no common cell but common features": (
        lambda m: rebuilt(rna=counts(N, "g"), visium=counts(N, "g", "spot")),
        {},
        ["share features", "batch_key for the assay", "mmvae.pp.join_features"],
    ),
    "two islands of modalities": (
        lambda m: rebuilt(a=counts(N, "a"), b=counts(N, "b"), c=counts(N, "c", "other"), d=counts(N, "d", "other")),
        {},
        ["no cell connects", "['a', 'b']"],
    ),
    "cells outside the chosen modalities": (
        lambda m: rebuilt(rna=counts(N, "g"), atac=counts(N + 5, "p")),
        {"modalities": {"rna": "rna"}},
        ["5 cells", "none of the modalities"],
    ),
    "too few cells": (lambda m: rebuilt(rna=counts(5, "g")), {}, ["5 cells", "at least 10"]),
    "view": (lambda m: m[:20], {}, ["view", ".copy()"]),
    "modalities share features": (
        lambda m: MuData({"a": counts(N, "g", "x"), "b": counts(N, "g", "y")}, axis=1),
        {},
        ["axis", "batch_key for the assay"],
    ),
    "modalities disagree on a key": (
        lambda m: [m.mod[n].obs.__setitem__("donor", v) for n, v in (("rna", ["a"] * N), ("atac", ["b"] * N))] and None,
        {"batch_key": "donor"},
        ["'donor' differs between modalities for 40 cells"],
    ),
    "name with a sign that cannot be printed": (
        lambda m: rebuilt(**{"rna\x1b[2J": counts(N, "g")}),
        {},
        [r"'rna\x1b[2J' cannot be used, as it holds '\x1b'"],
    ),
    "empty name": (lambda m: rebuilt(**{"": counts(N, "g")}), {}, ["'' cannot be used, as it is empty"]),
    "masked array": (
        lambda m: setattr(m.mod["protein"], "X", np.ma.masked_array(np.ones((N, 6)), np.eye(N, 6, dtype=bool))),
        {},
        ["'protein', X: expected numbers in a numpy array", "got MaskedArray of float64. Convert it."],
    ),
    "complex numbers": (
        lambda m: setattr(m.mod["protein"], "X", np.ones((N, 6), dtype=np.complex64)),
        {},
        ["got ndarray of complex64. Convert it."],
    ),
    "layers alone": (only_layers, {}, ["'rna', X: ", "got nothing. Name one of its layers with layers=: ['umis']"]),
    "raw alone": (only_raw, {}, ["'rna', X: ", "got nothing. adata.raw.to_adata() has what raw holds"]),
    "cells named by numbers": (
        numbered,
        {},
        [
            "mdata['rna'].obs_names are no text, such as 0. Use mdata['rna'].obs_names = mdata['rna'].obs_names.astype(str)"
        ],
    ),
    "duplicate cells in one modality": (
        lambda m: rebuilt(rna=repeated(counts(N, "g")), protein=counts(N, "p")),
        {},
        ["mdata['rna'].obs_names: 1 names occur more than once, such as 'cell_0'. Make them unique."],
    ),
    "no modality": (lambda m: MuData({}), {}, ["the MuData holds no modality"]),
    "modality without cells": (
        lambda m: rebuilt(rna=counts(N, "g"), protein=counts(N, "p")[:0].copy()),
        {},
        ["modality 'protein' has no cells. Leave it out with modalities=."],
    ),
    "MuData in a MuData": (
        lambda m: rebuilt(rna=counts(N, "g"), both=rebuilt(a=counts(N, "a"), b=counts(N, "b"))),
        {},
        ["modality 'both' is a MuData itself. Make one MuData of the modalities of all."],
    ),
    "view of a modality": (
        lambda m: rebuilt(rna=counts(N + 5, "g")[:N], protein=counts(N, "p")),
        {},
        ["modality 'rna' is a view. Use mdata = mdata.copy() first."],
    ),
    "both axes": (
        lambda m: MuData({"a": counts(N, "g"), "b": counts(N, "g")}, axis=-1),
        {},
        ["modalities share axis -1, not cells"],
    ),
    "negative values under bernoulli": (
        lambda m: change(m, "atac", 0, -2),
        {"likelihoods": {"atac": "bernoulli"}},
        ["'atac', X: 1 values are negative, such as -2", "'bernoulli' needs binary values"],
    ),
    "size factor missing": (
        lambda m: set_obs(m, "sf", np.r_[np.nan, np.ones(N - 1)]),
        {"size_factor_keys": {"rna": "sf"}},
        ["'sf' (size_factor) has no value for 1 of 40 cells"],
    ),
    "column of no values": (
        lambda m: set_obs(m, "batch", [None] * N),
        {"batch_key": "batch"},
        ["'batch' (batch) has no value for 40 of 40 cells"],
    ),
    "misspelt argument": (None, {"batchkey": "batch"}, ["there is no argument 'batchkey'. Did you mean 'batch_key'?"]),
    "number for a key": (None, {"batch_key": 3}, ["expected batch_key as a name or a list of names; got 3"]),
    "list for one key": (None, {"labels_key": ["cluster"]}, ["expected labels_key as one name; got ['cluster']"]),
    "numbers for keys": (None, {"continuous_covariate_keys": [1]}, ["continuous_covariate_keys as a name or a list"]),
    "list for unlabelled": (
        None,
        {"labels_key": "cluster", "unlabeled_category": ["a", "b"]},
        ["expected unlabeled_category as one value of the labels' column; got ['a', 'b']"],
    ),
    "one layer for all": (
        None,
        {"layers": "counts"},
        ["expected layers as a mapping, such as {'rna': 'counts'}; got 'counts'"],
    ),
    "one likelihood for all": (
        None,
        {"likelihoods": "nb"},
        ["expected likelihoods as a mapping, such as {'rna': 'nb'}"],
    ),
    "one size factor for all": (None, {"size_factor_keys": "sf"}, ["expected size_factor_keys as a mapping"]),
    "list of modalities": (None, {"modalities": ["rna"]}, ["expected modalities as a mapping, such as {'rna': 'gex'}"]),
    "number for a layer": (None, {"layers": {"rna": 1}}, ["expected layers as a mapping of names", "got {'rna': 1}"]),
    "no modality chosen": (
        None,
        {"modalities": {}},
        ["modalities= names none; the MuData has ['rna', 'atac', 'protein']"],
    ),
}


@pytest.mark.filterwarnings("ignore:.*_names are not unique", "ignore:Duplicated obs_names")
@pytest.mark.filterwarnings("ignore:Observation names are not unique")
@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_named_and_nothing_is_changed(mdata, case):
    spoil, arguments, words = CASES[case]
    other = spoil(mdata) if spoil else None
    mdata = mdata if other is None else other
    before = snapshot(mdata)
    with pytest.raises(SetupError) as caught:
        MultiVAE.setup_mudata(mdata, **arguments)
    for word in words:
        assert word in str(caught.value)
    assert_same(before, snapshot(mdata))


def test_all_faults_come_in_one_message(mdata):
    change(mdata, "rna", 1, np.nan)
    change(mdata, "atac", 1, -3)
    with pytest.raises(SetupError) as caught:
        MultiVAE.setup_mudata(mdata, batch_key="bach", likelihoods={"atac": "poisson", "protein": "nbb"})
    assert len(caught.value.faults) == 4
    assert "Found 4 faults" in str(caught.value)


@pytest.mark.parametrize(("data", "match"), [(counts(N, "g"), "setup_anndata"), (3, "got int"), ("file", "got str")])
def test_other_objects_are_refused(data, match):
    with pytest.raises(TypeError, match=match):
        MultiVAE.setup_mudata(data)


def test_mudata_is_refused_where_anndata_is_asked_for(mdata):
    with pytest.raises(TypeError, match="setup_mudata"):
        MultiVAE.setup_anndata(mdata)


def test_faults_of_an_anndata_are_found_too():
    adata = counts(N, "g")
    adata.X[3, 0] = np.nan
    with pytest.raises(SetupError, match="'rna'"):
        MultiVAE.setup_anndata(adata, batch_key="nope")


def test_a_model_needs_registered_data(mdata):
    with pytest.raises(ValueError, match="setup_mudata|setup_anndata"):
        MultiVAE(mdata)


@pytest.fixture(scope="module")
def model():
    mdata = query(seed=3)
    MultiVAE.setup_mudata(
        mdata,
        batch_key="batch",
        categorical_covariate_keys=["site"],
        continuous_covariate_keys=["age"],
        prior_covariate_keys=["stage"],
    )
    model = MultiVAE(mdata, n_hidden=8, n_latent=2)
    with pytest.warns(UserWarning):
        model.train(max_epochs=1, enable_progress_bar=False)
    return model


def query(spoil=None, seed: int = 4) -> MuData:
    made = mmvae.datasets.simulate(N, modalities={"rna": 12, "protein": 6}, n_clusters=3, seed=seed)
    made.obs["site"] = np.resize(["east", "west"], N)
    made.obs["stage"] = np.resize([1, 2, 3], N)
    made.obs["age"] = np.linspace(20, 80, N)
    if spoil is not None:
        spoil(made)
    return made


@pytest.mark.parametrize("name", ["fused", "shared", "a/b", "a.b", "keys", ""])
def test_the_modality_of_an_anndata_is_named_like_one_of_a_mudata(name):
    adata = counts(N, "g")
    before = adata.copy()
    with pytest.raises(SetupError, match="cannot be used"):
        MultiVAE.setup_anndata(adata, modality=name)
    assert list(adata.uns) == list(before.uns)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (
            lambda m: setattr(m.mod["rna"], "var_names", [f"x{i}" for i in range(12)]),
            ["12 features 12 (100.0%) are missing"],
        ),
        (lambda m: change(m, "rna", 0, np.nan), ["NaN"]),
        (lambda m: set_obs(m, "batch", ["new"] * N), ["'new'", "load_query_data"]),
        (lambda m: m.obs.drop(columns="batch", inplace=True), ["'batch' not found"]),
        (lambda m: set_obs(m, "site", ["north"] * N), ["'site' (categorical) holds ['north']", "load_query_data"]),
        (lambda m: set_obs(m, "stage", [9] * N), ["'stage' (prior covariate) holds ['9']", "load_query_data"]),
        (lambda m: set_obs(m, "age", [1e9] * N), ["'age' (continuous) holds 1e+09", "reference's unit"]),
        (
            lambda m: rebuilt(gex=m["rna"].copy(), protein=m["protein"].copy()),
            ["reference's ['rna'] are missing", "does not know ['gex']", "'gex' has the features of 'rna'"],
        ),
        (
            lambda m: rebuilt(rna=query()["rna"][:30].copy(), other=counts(N, "x")),
            ["10 cells", "none of the modalities ['rna']"],
        ),
    ],
    ids=[
        "other features",
        "NaN",
        "unknown batch",
        "no batch",
        "unknown covariate",
        "unknown prior covariate",
        "far number",
        "renamed modality",
        "cells of nothing",
    ],
)
def test_bad_query_is_named_and_left_alone(model, spoil, words):
    data = query(spoil) if spoil(query()) is None else spoil(query())
    before = snapshot(data)
    with pytest.raises(SetupError) as caught:
        model.get_latent_representation(data)
    for word in words:
        assert word in str(caught.value)
    assert_same(before, snapshot(data))


def test_an_anndata_is_no_mudata(model):
    with pytest.raises(SetupError, match=r"got an AnnData. Make MuData\(\{'rna': adata\}\)"):
        model.get_latent_representation(query()["rna"])


def test_untrained_model_says_so():
    mdata = query()
    MultiVAE.setup_mudata(mdata)
    with pytest.raises(RuntimeError, match="train"):
        MultiVAE(mdata).get_latent_representation()


def test_untrained_model_can_be_saved(tmp_path):
    mdata = query()
    MultiVAE.setup_mudata(mdata)
    MultiVAE(mdata).save(tmp_path / "model")
    assert not MultiVAE.load(tmp_path / "model", mdata).is_trained_


def test_names_of_another_index_type_are_the_same_features(model):
    data = query()
    data["rna"].var.index = data["rna"].var_names.astype("string")
    np.testing.assert_array_equal(model.get_latent_representation(data), model.get_latent_representation(query()))
