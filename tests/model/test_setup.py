"""What a set-up takes of the data, and what other data, copies and files of them give."""

from __future__ import annotations

import inspect
import re

import mudata
import numpy as np
import pandas as pd
import pytest

import mmvae
from mmvae import MultiVAE, SetupError
from mmvae._compat import unpulled
from mmvae.model._configuration import covariate_config

N = 60
SIZES = {"rna": 20, "protein": 6}
pytestmark = pytest.mark.filterwarnings("ignore:The latent of", "ignore:The validation ELBO never")


def simulated(seed=0, n=N):
    return mmvae.datasets.simulate(n, modalities=SIZES, n_clusters=3, seed=seed)


def with_column(values, seed=0):
    mdata = simulated(seed)
    mdata.obs["c"] = pd.Series(values, index=mdata.obs_names)
    return mdata


def fitted(mdata, **arguments):
    MultiVAE.setup_mudata(mdata, **arguments)
    model = MultiVAE(mdata, n_hidden=8, n_latent=2)
    model.train(max_epochs=2, enable_progress_bar=False, accelerator="cpu")
    return model


HALF = np.arange(N) % 4 < 2
# one column of two values as users bring it; how other data of theirs hold the same; and what transform_batch may be
BATCHES = {
    "floats": (np.where(HALF, 1.0, 2.0), np.where(HALF, 1, 2), [1, 1.0, "1"]),
    "single precision": (np.where(HALF, 1.0, 2.0).astype("f4"), np.where(HALF, "1", "2"), [1, np.float32(1)]),
    "integers": (np.where(HALF, 1, 2), np.where(HALF, 1.0, 2.0), [1, 1.0]),
    "categories of floats": (pd.Categorical(np.where(HALF, 1.0, 2.0)), np.where(HALF, 1, 2), [1.0]),
    "nullable integers": (pd.array(np.where(HALF, 1, 2), dtype="Int64"), np.where(HALF, 1, 2), [1]),
    "bools": (HALF, pd.array(HALF, dtype="boolean"), [True, "True"]),
    "text": (np.where(HALF, "a", "b"), pd.array(np.where(HALF, "a", "b"), dtype="string"), ["a"]),
    "nothing as text": (np.where(HALF, "", "nan"), np.where(HALF, "", "nan"), ["", "nan"]),
    "mixed": (np.array([1 if half else "b" for half in HALF], dtype=object), np.where(HALF, "1", "b"), [1, "b"]),
    "dates": (
        pd.to_datetime(np.where(HALF, "2020-01-31", "2021-01-31")),
        np.where(HALF, "2020-01-31", "2021-01-31"),
        [pd.Timestamp("2020-01-31"), "2020-01-31", np.datetime64("2020-01-31")],
    ),
    "ordered": (
        pd.Categorical(np.where(HALF, "lo", "hi"), categories=["lo", "hi"], ordered=True),
        np.where(HALF, "lo", "hi"),
        ["lo"],
    ),
    "intervals": (pd.cut(np.arange(N), 2), pd.cut(np.arange(N), 2).astype(str), []),
}


@pytest.mark.parametrize("case", BATCHES)
def test_values_are_known_again_whatever_they_are_stored_as(case, tmp_path):
    values, same, names = BATCHES[case]
    mdata = with_column(values)
    arguments = {
        "batch_key": "c",
        "labels_key": "c",
        "categorical_covariate_keys": ["rna:c"],
        "prior_covariate_keys": ["c"],
    }
    mdata["rna"].obs["c"] = mdata.obs["c"]
    model = fitted(mdata, **arguments)
    expected = model.get_latent_representation()
    model.save(tmp_path / "model")
    other = with_column(same)
    other["rna"].obs["c"] = other.obs["c"]
    with unpulled():
        for data in (mdata, mdata.copy(), other):
            np.testing.assert_allclose(model.get_latent_representation(data), expected, atol=1e-5)
        loaded = MultiVAE.load(tmp_path / "model", other, accelerator="cpu")
        np.testing.assert_allclose(loaded.get_latent_representation(), expected, atol=1e-5)
        query = MultiVAE.load_query_data(other, model)
    assert query.summary_stats.n_batch == model.summary_stats.n_batch == 2
    for name in names:
        assert model.get_normalized_expression(modality="rna", transform_batch=name).shape == (N, 20)


@pytest.mark.parametrize("case", ["floats", "bools", "ordered"])
def test_values_are_known_again_in_a_file(case, tmp_path):
    mdata = with_column(BATCHES[case][0])
    model = fitted(mdata, batch_key="c")
    model.save(tmp_path / "model", save_anndata=True)
    with unpulled():
        loaded = MultiVAE.load(tmp_path / "model", accelerator="cpu")
        mdata.write(tmp_path / "data.h5mu")
        found = loaded.get_latent_representation(mudata.read_h5mu(tmp_path / "data.h5mu"))
    np.testing.assert_allclose(found, model.get_latent_representation(), atol=1e-5)


def test_levels_that_no_cell_has_are_left_out(capsys):
    levels = {"c": ["a", "b", "z"], "d": range(9)}
    mdata = simulated()
    mdata.obs["c"] = pd.Categorical(np.where(HALF, "a", "b"), categories=levels["c"])
    mdata.obs["d"] = pd.Categorical(np.arange(N) % 3, categories=levels["d"])
    arguments = {"categorical_covariate_keys": ["d"], "prior_covariate_keys": ["d"], "labels_key": "d"}
    model = fitted(mdata, batch_key="c", **arguments)
    config = covariate_config(model.registry_)
    assert (config.n_batch, config.n_categories, config.n_prior_categories) == (2, (3,), (3,))
    assert model.labels == ["0", "1", "2"]
    assert "Batch: 'c', 2 categories" in capsys.readouterr().out
    assert list(mdata.obs["c"].cat.categories) == levels["c"]
    with pytest.raises(ValueError, match="'z'"):
        model.get_normalized_expression(modality="rna", transform_batch="z")


AGE = np.random.default_rng(0).normal(55, 12, N)


def covariate(model, adata=None):
    loader = model._make_data_loader(adata=model._validate_anndata(adata))
    return np.concatenate([tensors["extra_continuous_covs"].numpy() for tensors in loader])


def test_continuous_covariates_are_standardised_with_the_reference_s_mean(tmp_path, capsys):
    mdata = with_column(AGE)
    mdata.obs["depth"] = np.linspace(1e3, 1e5, N)
    mdata.obs["constant"] = 0.3
    keys = ["c", "depth", "constant"]
    model = fitted(mdata, continuous_covariate_keys=keys)
    expected = mdata.obs[keys].to_numpy()
    sd = np.r_[expected[:, :2].std(axis=0), 1]
    np.testing.assert_allclose(covariate(model), (expected - expected.mean(axis=0)) / sd, atol=1e-5)
    printed = capsys.readouterr().out
    assert f"Continuous: 'c', standardised: mean {AGE.mean():.4g}, standard deviation {AGE.std():.4g}" in printed
    assert "mean 0.3, standard deviation 1" in printed
    model.save(tmp_path / "model")

    other = with_column(AGE + 30, seed=1)
    other.obs["depth"], other.obs["constant"] = 5e4, 0.5
    given = (other.obs[keys].to_numpy() - expected.mean(axis=0)) / sd
    np.testing.assert_allclose(covariate(model, other), given, atol=1e-5)
    for mapped in (MultiVAE.load(tmp_path / "model", other), MultiVAE.load_query_data(other, model)):
        np.testing.assert_allclose(covariate(mapped), given, atol=1e-5)
    np.testing.assert_array_equal(mdata.obs["c"], AGE)


def test_a_covariate_s_unit_does_not_matter():
    one, other = (fitted(with_column(values), continuous_covariate_keys=["c"]) for values in (AGE, AGE * 1e4 - 7))
    np.testing.assert_allclose(one.get_latent_representation(), other.get_latent_representation(), atol=1e-3)


@pytest.mark.parametrize("dtype", ["Int64", "Float32", "boolean", "category", "object"])
def test_numbers_may_be_of_any_type(dtype):
    values = pd.Series(np.arange(N) % 2).astype(dtype)
    model = fitted(
        with_column(values.to_numpy() if dtype == "object" else values.array), continuous_covariate_keys=["c"]
    )
    np.testing.assert_allclose(covariate(model).ravel(), np.where(np.arange(N) % 2, 1, -1))


def test_a_column_of_several_modalities_is_compared_by_value():
    mdata = simulated()
    mdata["rna"].obs["c"], mdata["protein"].obs["c"] = np.where(HALF, 1, 2), np.where(HALF, 1.0, 2.0)
    MultiVAE.setup_mudata(mdata, batch_key="c")
    assert mdata.obs["_mmvae_batch_c"].cat.categories.tolist() == ["1", "2"]


@pytest.mark.parametrize("argument", ["likelihoods", "layers", "size_factor_keys", "modalities"])
def test_modalities_are_in_the_data_s_order(argument):
    mdata = simulated()
    mdata.obs["depth"] = 1.0
    value = {"likelihoods": "nb", "layers": None, "size_factor_keys": "depth"}
    given = {name: value.get(argument, name) for name in ("protein", "rna")}
    MultiVAE.setup_mudata(mdata, **{argument: given})
    assert MultiVAE(mdata).modalities == list(mdata.mod) == ["rna", "protein"]


def test_the_registry_holds_the_arguments_and_nothing_else():
    mdata = simulated()
    MultiVAE.setup_mudata(mdata, batch_key="batch", likelihoods={"protein": "nb"})
    kept = MultiVAE(mdata).registry_["setup_args"]
    assert set(kept) == set(inspect.signature(MultiVAE.setup_mudata).parameters) - {"mdata", "kwargs"}
    assert list(kept["likelihoods"]) == list(kept["layers"]) == list(kept["modalities"]) == ["rna", "protein"]
    adata = mdata["rna"].copy()
    MultiVAE.setup_anndata(adata)
    kept = MultiVAE(adata).registry_["setup_args"]
    assert set(kept) == set(inspect.signature(MultiVAE.setup_anndata).parameters) - {"adata", "kwargs"}


def test_truly_continuous_values_and_counts_in_layers_are_taken_as_they_were():
    mdata = simulated()
    counts = mdata["rna"].X.toarray()
    mdata["rna"].layers["counts"] = counts.copy()
    mdata["rna"].X = np.log1p(counts)
    mdata["protein"].X = np.random.default_rng(0).normal(size=(N, 6))
    table = mmvae.pp.check(mdata)
    assert table["layer"].tolist() == ["counts", "X"]
    assert table["likelihood"].tolist() == ["nb", "normal"]


@pytest.mark.filterwarnings("ignore:Cannot join columns", "ignore:var_names are not unique")
def test_data_that_look_odd_are_taken():
    """Modalities of any name that share features, cells and features without counts, centred values, labels of some."""
    mdata = simulated()
    counts = mdata["rna"].X.toarray()
    counts[3], counts[:, 5] = 0, 0
    mdata["rna"].X = counts
    logs = np.log1p(mdata["protein"].X)
    mdata["protein"].X = logs - logs.mean(axis=1, keepdims=True)
    for name in SIZES:
        mdata[name].var_names = ["CD4", *mdata[name].var_names[1:]]
    with unpulled():
        mdata = mudata.MuData({"gène expression": mdata["rna"], "表面 protein": mdata["protein"]})
    mdata.obs["label"] = pd.array([None, "a", "b"] * (N // 3), dtype="string")
    model = fitted(mdata, labels_key="label")
    assert model.labels == ["a", "b"]
    assert model.registry_["setup_args"]["likelihoods"] == {"gène expression": "nb", "表面 protein": "normal"}
    assert np.isfinite(model.get_latent_representation()).all()
    assert model.get_normalized_expression(modality="表面 protein", gene_list=["CD4"]).shape == (N, 1)


def test_nothing_is_registered_if_the_table_cannot_be_printed(monkeypatch):
    mdata = simulated()
    before = list(mdata.obs)

    def closed(*_, **__):
        raise BrokenPipeError

    monkeypatch.setattr("mmvae.model._setup.print_setup", closed)
    with pytest.raises(BrokenPipeError):
        MultiVAE.setup_mudata(mdata)
    assert list(mdata.obs) == before
    assert not mdata.uns


@pytest.mark.parametrize(
    "name",
    ["[red]", "[bold]x", "rna:smile:"],
)
def test_names_of_modalities_are_printed_as_they_are(name, capsys):
    mdata = simulated()
    with unpulled():
        mdata = mudata.MuData({name: mdata["rna"], "protein": mdata["protein"]})
    MultiVAE.setup_mudata(mdata)
    printed = capsys.readouterr().out
    for text in (f"│ {name} ", f"Cells by what they have: {name}+protein"):
        assert text in printed
    with pytest.raises(SetupError, match=re.escape(f"modality '{name}'")):
        MultiVAE.setup_mudata(mdata, layers={name: "absent"})


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("counts[/x]", "counts[/x]"),
        ("\x1b[31mrna", r"\x1b[31mrna"),
        ("two\nlines", r"two\nlines"),
        ("left\u202eright", r"left\u202eright"),
    ],
)
def test_names_of_layers_and_columns_are_printed_as_they_are(name, shown, capsys):
    mdata = simulated()
    mdata["rna"].layers[name] = mdata["rna"].X.copy()
    mdata.obs[name] = np.where(HALF, "a", "b")
    MultiVAE.setup_mudata(mdata, layers={"rna": name}, batch_key=name)
    printed = capsys.readouterr().out
    for text in (f"│ {shown} ", f"Batch: '{shown}'"):
        assert text in printed


@pytest.mark.parametrize("columns", ["5", "20", "39"])
def test_a_narrow_window_loses_no_name(columns, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", columns)
    MultiVAE.setup_mudata(simulated())
    printed = capsys.readouterr().out
    for text in ("│ rna ", "│ protein ", "likelihood ", "…"):
        assert (text in printed) == (text != "…")
