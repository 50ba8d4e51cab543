"""Minibatches of mosaic data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import scipy.sparse as sp

import mmvae
from mmvae._compat import unpulled
from mmvae._keys import CELLS, PRESENT

if TYPE_CHECKING:
    from mudata import MuData


def registered(mdata: MuData, **kwargs):
    mmvae.MultiVAE.setup_mudata(mdata, **kwargs)
    return mmvae.MultiVAE._get_most_recent_anndata_manager(mdata, required=True).create_torch_dataset()


def read(batch, mdata: MuData, name: str) -> np.ndarray:
    """A modality's values in a minibatch, as a matrix."""
    values = batch[f"X_{name}"]
    if values.ndim == 2:
        return values
    shape = (len(batch[f"rows_{name}"]), mdata[name].n_vars)
    return sp.csr_matrix((values, batch[f"columns_{name}"], batch[f"starts_{name}"]), shape=shape).toarray()


def dense(matrix) -> np.ndarray:
    return matrix.toarray() if sp.issparse(matrix) else np.asarray(matrix)


def test_rows_are_those_of_the_cells_by_name():
    mdata = mmvae.datasets.simulate(60, missing=0.5)
    batch = registered(mdata)[[7, 3, 41, 0]]
    for index, name in enumerate(["rna", "atac", "protein"]):
        cells = mdata.obs_names[batch[CELLS][batch[PRESENT][:, index]]]
        expected = dense(mdata.mod[name][cells].X)
        assert np.array_equal(read(batch, mdata, name), expected)


def test_absent_cells_take_no_rows():
    mdata = mmvae.datasets.simulate(60, missing={"rna+protein": 0.5, "rna": 0.5}, modalities=("rna", "protein"))
    batch = registered(mdata)[list(range(60))]
    assert read(batch, mdata, "rna").shape[0] == 60
    assert read(batch, mdata, "protein").shape[0] == 30 == batch[PRESENT][:, 1].sum()


def test_an_empty_measured_cell_stays_observed():
    mdata = mmvae.datasets.simulate(60, modalities=("rna", "protein"))
    values = dense(mdata["rna"].X).copy()
    values[5] = 0
    mdata.mod["rna"].X = sp.csr_matrix(values)
    cell = list(mdata.obs_names).index(mdata["rna"].obs_names[5])
    batch = registered(mdata)[[cell]]
    assert batch[PRESENT].all()
    assert batch["X_rna"].sum() == 0


@pytest.mark.parametrize("share", [0.1, 0.9])
def test_few_values_travel_by_their_non_zeros_however_they_are_stored(share):
    mdata = mmvae.datasets.simulate(60)
    values = 1.0 + np.arange(60 * mdata["rna"].n_vars, dtype="f4").reshape(60, -1) % 7
    values *= np.random.default_rng(0).random(values.shape) < share
    forms = {}
    for store in (np.asarray, sp.csr_matrix, sp.csc_matrix):
        mdata.mod["rna"].X = store(values)
        forms[store] = batch = registered(mdata)[[1, 5]]
        assert np.array_equal(read(batch, mdata, "rna"), values[[1, 5]])
    assert forms[sp.csr_matrix]["X_rna"].ndim == 1
    assert forms[np.asarray]["X_rna"].ndim == (1 if share < 0.25 else 2)


def test_a_value_stored_in_parts_is_one_value():
    mdata = mmvae.datasets.simulate(60)
    whole = sp.csr_matrix(mdata["rna"].X)
    parts = np.column_stack([whole.data, 2 * whole.data]).ravel()
    mdata.mod["rna"].X = sp.csr_matrix((parts, whole.indices.repeat(2), 2 * whole.indptr), shape=whole.shape)
    batch = registered(mdata)[[1, 5]]
    assert np.array_equal(read(batch, mdata, "rna"), 3 * whole[[1, 5]].toarray())
    assert len(batch["X_rna"]) == whole[[1, 5]].nnz
    assert mdata["rna"].X.nnz == 2 * whole.nnz


def test_storage_is_not_changed():
    mdata = mmvae.datasets.simulate(60)
    mdata.mod["rna"].X = sp.csc_matrix(mdata["rna"].X)
    registered(mdata)[[0, 1]]
    assert mdata["rna"].X.format == "csc"


def test_several_batch_keys_are_combined():
    mdata = mmvae.datasets.simulate(60, n_batches=2)
    mdata.obs["site"] = np.where(np.arange(60) % 2, "a", "b")
    registered(mdata, batch_key=["batch", "site"])
    manager = mmvae.MultiVAE._get_most_recent_anndata_manager(mdata, required=True)
    assert manager.summary_stats.n_batch == 4


def test_a_key_of_a_modality_is_found():
    with unpulled():
        mdata = mmvae.datasets.simulate(60, n_batches=3)
        batch = mdata.obs.pop("batch")
        mdata.mod["rna"].obs["library"] = batch[mdata["rna"].obs_names].to_numpy()
        registered(mdata, batch_key="library")
    assert (mdata.obs["_mmvae_batch_library"].astype(str) == batch.astype(str)).all()


def normalised_with_counts() -> MuData:
    mdata = mmvae.datasets.simulate(60, modalities={"rna": 12, "protein": 6}, n_clusters=3)
    rna = mdata.mod["rna"]
    rna.layers["counts"] = rna.X.copy()
    rna.X = np.log1p(dense(rna.X)) / 3
    return mdata


@pytest.mark.parametrize(
    ("arguments", "layer", "likelihood"),
    [
        ({}, "counts", "nb"),
        ({"likelihoods": {"rna": "normal"}}, None, "normal"),
        ({"layers": {"rna": None}}, None, "normal"),
        ({"layers": {"rna": "counts"}, "likelihoods": {"rna": "poisson"}}, "counts", "poisson"),
    ],
    ids=["inferred", "likelihood of real values", "X asked for", "layer asked for"],
)
def test_layer_and_likelihood_suit_each_other(arguments, layer, likelihood):
    mdata = normalised_with_counts()
    registered(mdata, **arguments)
    manager = mmvae.MultiVAE._get_most_recent_anndata_manager(mdata, required=True)
    taken = manager.registry["setup_args"]
    assert (taken["layers"]["rna"], taken["likelihoods"]["rna"]) == (layer, likelihood)
