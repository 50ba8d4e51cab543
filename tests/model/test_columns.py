"""Columns of every type, in every role: at set-up, in copies, files, queries, and by value."""

from __future__ import annotations

import datetime

import numpy as np
import pandas as pd
import pytest
from mudata import read_h5mu

import mmvae
from mmvae import MultiVAE, SetupError
from mmvae._compat import unpulled
from mmvae.module import table_sizes

N = 40
ROLES = ("batch", "labels", "categorical", "prior")


def of(dtype):
    return lambda values: pd.Series(values, dtype=dtype)


def levelled(*levels, ordered=False):
    return lambda values: pd.Series(pd.Categorical(values, categories=levels, ordered=ordered))


# two values, one that is new in a query, how a column is made of them, their texts in order, whether anndata writes it
KINDS = {
    "object": (["b", "a"], "c", of(object), ["a", "b"], True),
    "pandas' default": (["b", "a"], "c", pd.Series, ["a", "b"], True),
    "string": (["b", "a"], "c", of("string"), ["a", "b"], True),
    "pyarrow": (["b", "a"], "c", of("string[pyarrow]"), ["a", "b"], True),
    "category": (["b", "a"], "c", of("category"), ["a", "b"], True),
    "category of strings": (
        ["b", "a"],
        "c",
        lambda values: pd.Series(pd.Categorical(pd.array(values, dtype="string"))),
        ["a", "b"],
        True,
    ),
    "unused levels": (["b", "a"], "c", levelled("z", "a", "y", "b", "c"), ["a", "b"], True),
    "ordered": (["a", "b"], "c", levelled("b", "x", "a", "c", ordered=True), ["b", "a"], True),
    "category of ints": ([10, 9], 11, of("category"), ["9", "10"], True),
    "category of floats": ([1.0, 0.5], 2.0, of("category"), ["0.5", "1"], True),
    "bool": ([True, False], None, of(bool), ["False", "True"], True),
    "boolean": ([True, False], None, of("boolean"), ["False", "True"], True),
    "int8": ([10, 9], 11, of("int8"), ["9", "10"], True),
    "Int64": ([10, 9], 11, of("Int64"), ["9", "10"], True),
    "float": ([10.0, 9.0], 11.0, of(float), ["9", "10"], True),
    "float32": ([0.1, 9.0], 11.0, of("float32"), ["0.1", "9"], True),
    "mixed": (["b", 1], 2, of(object), ["1", "b"], False),
    "dates": (
        [pd.Timestamp("2021-01-02"), pd.Timestamp("2020-01-31")],
        pd.Timestamp("2022-05-05 12:30"),
        pd.Series,
        ["2020-01-31", "2021-01-02"],
        False,
    ),
    "days": (
        [datetime.date(2021, 1, 2), datetime.date(2020, 1, 31)],
        datetime.date(2022, 5, 5),
        of(object),
        ["2020-01-31", "2021-01-02"],
        False,
    ),
    "text like nothing": (["", "nan"], "None", of(object), ["", "nan"], True),
}

# of which another kind is much the same
ALIKE = {"pandas' default", "category of strings", "category", "bool", "int8", "category of ints", "days"}


def with_column(kind, values, seed=0):
    _, _, make, _, _ = KINDS[kind]
    mdata = mmvae.datasets.simulate(N, modalities={"rna": 12, "protein": 6}, n_clusters=3, seed=seed)
    column = make(np.resize(np.array(values, dtype=object), N).tolist())
    column.index = mdata.obs_names
    for role in ROLES:
        mdata.obs[role] = column
    return mdata


def as_if_trained(model):
    model.is_trained_ = True
    model.remember(n_categories=table_sizes(model.module))
    return model


@pytest.fixture
def model(kind):
    if kind == "pyarrow":
        pytest.importorskip("pyarrow")
    mdata = with_column(kind, KINDS[kind][0])
    MultiVAE.setup_mudata(
        mdata,
        batch_key="batch",
        labels_key="labels",
        categorical_covariate_keys=["categorical"],
        prior_covariate_keys=["prior"],
    )
    return as_if_trained(MultiVAE(mdata, n_hidden=8, n_latent=2, batch_adversary=0))


def registered(model):
    """Texts of the categories in each role."""
    states = [model.get_state_registry(key) for key in ("batch", "labels")]
    extra = [model.get_state_registry(key) for key in ("extra_categorical_covs", "prior_covariates")]
    return [*(list(s.categorical_mapping) for s in states), *(list(*s.mappings.values()) for s in extra)]


def rates(model, data=None):
    return model.get_normalized_expression(data, modality="rna")


@pytest.mark.filterwarnings("ignore:prior covariate")
@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.slow if kind in ALIKE else ()) for kind in KINDS]
)
def test_a_column_of_any_type_in_any_role(model, kind, tmp_path):
    values, new, _, texts, is_written = KINDS[kind]
    batch, labels, covariate, prior = registered(model)
    assert batch == covariate == prior == texts
    assert labels == [*sorted(texts), "unknown"]
    # by value, as by name
    given, named, other = (
        model.get_normalized_expression(modality="rna", transform_batch=each)
        for each in (values[0], mmvae.data.text_of(values[0]), values[1])
    )
    pd.testing.assert_frame_equal(given, named)
    assert not np.allclose(given, other)
    # copies, files and saved models
    expected = rates(model)
    with unpulled():
        copied = model.adata.copy()
    pd.testing.assert_frame_equal(rates(model, copied), expected)
    model.save(tmp_path / "model")
    if is_written:
        copied.write_h5mu(tmp_path / "copy.h5mu")
        with unpulled():
            copied = read_h5mu(tmp_path / "copy.h5mu")
    pd.testing.assert_frame_equal(rates(MultiVAE.load(tmp_path / "model", copied)), expected)
    # new categories
    if new is not None:
        query = with_column(kind, [*values, new], seed=1)
        with pytest.raises(SetupError, match="which the reference does not know"):
            model.get_latent_representation(query)
        mapped = as_if_trained(MultiVAE.load_query_data(query, model))
        found = [*texts, mmvae.data.text_of(new)]
        assert registered(mapped) == [found, labels, found, found]
        pd.testing.assert_frame_equal(rates(mapped, model.adata), expected)


@pytest.mark.parametrize("dtype", ["object", "string", "category", "boolean", "Int64", "float", "datetime64[ns]"])
def test_a_cell_without_a_label_is_unlabelled_and_without_a_batch_refused(dtype):
    values = {"boolean": True, "Int64": 3, "float": 3.0, "datetime64[ns]": pd.Timestamp("2020-01-31")}.get(dtype, "a")
    mdata = mmvae.datasets.simulate(N, modalities={"rna": 12}, n_clusters=3)
    mdata.obs["c"] = pd.Series([values] * (N - 5) + [None] * 5, dtype=dtype, index=mdata.obs_names)
    with pytest.raises(SetupError, match="'c' .batch. has no value for 5 of 40 cells"):
        MultiVAE.setup_mudata(mdata, batch_key="c")
    MultiVAE.setup_mudata(mdata, labels_key="c")
    assert MultiVAE(mdata, n_hidden=8, n_latent=2).labels == [mmvae.data.text_of(values)]
    assert (mdata.obs["_scvi_labels"] == 1).sum() == 5


@pytest.mark.parametrize(
    "make",
    [
        of(float),
        of("float32"),
        of("Float64"),
        of("Int64"),
        of(object),
        of("category"),
        lambda values: pd.Series([str(v) for v in values], dtype="string"),
        lambda values: pd.Series([str(v) for v in values], dtype=object),
    ],
    ids=["float", "float32", "Float64", "Int64", "object", "category", "string", "text"],
)
def test_numbers_of_any_type(make, tmp_path):
    mdata = mmvae.datasets.simulate(N, modalities={"rna": 12}, n_clusters=3)
    column = make((1 + np.arange(N) % 4).tolist())
    column.index = mdata.obs_names
    mdata.obs["age"] = mdata.obs["depth"] = column
    MultiVAE.setup_mudata(mdata, continuous_covariate_keys=["age"], size_factor_keys={"rna": "depth"})
    expected = 1 + np.arange(N) % 4
    np.testing.assert_array_equal(np.asarray(mdata.obs["_mmvae_size_factor_depth"], dtype=float), expected)
    standardised = np.asarray(mdata.obsm["_scvi_extra_continuous_covs"], dtype=float).ravel()
    np.testing.assert_allclose(standardised, (expected - expected.mean()) / expected.std(), atol=1e-6)
    model = as_if_trained(MultiVAE(mdata, n_hidden=8, n_latent=2))
    with unpulled():
        part = mdata[:7].copy()  # on the scale of all
    pd.testing.assert_frame_equal(rates(model, part), rates(model).iloc[:7], atol=1e-6)
