from __future__ import annotations

import numpy as np
import pytest

import mmvae
from mmvae import SetupError


@pytest.fixture
def mdata():
    return mmvae.datasets.simulate(100, missing=0.3)


def test_table_says_what_set_up_would_take(mdata):
    table = mmvae.pp.check(mdata, batch_key="batch")
    assert list(table) == ["modality", "cells", "features", "layer", "likelihood", "why"]
    assert table["modality"].tolist() == ["rna", "atac", "protein"]
    assert table["cells"].tolist() == [mdata.mod[name].n_obs for name in mdata.mod]
    assert table["features"].tolist() == [300, 800, 30]
    assert table["likelihood"].tolist() == ["nb", "poisson", "nb"]
    assert set(table["layer"]) == {"X"}


def test_prints_the_table_and_the_batch(mdata, capsys):
    mmvae.pp.check(mdata, batch_key="batch")
    printed = capsys.readouterr().out
    assert "nb" in printed
    assert "Batch: 'batch', 3 categories" in printed


def test_nothing_is_changed(mdata):
    before = mmvae.datasets.simulate(100, missing=0.3)
    mmvae.pp.check(mdata, batch_key="batch")
    assert mdata.obs.equals(before.obs)
    assert mdata.uns == before.uns
    assert all(list(mdata[name].obs) == list(before[name].obs) for name in mdata.mod)


def test_thin_bridges_are_a_note():
    mdata = mmvae.datasets.simulate(
        200, modalities=("rna", "protein"), missing={"rna+protein": 0.1, "rna": 0.5, "protein": 0.4}
    )
    table = mmvae.pp.check(mdata)
    assert any("only 20 cells have both" in note for note in table.attrs["notes"])


@pytest.mark.parametrize("value", [5, 0.25, -3.0])
def test_values_that_never_vary_are_a_note(value):
    mdata = mmvae.datasets.simulate(100, modalities=("rna", "protein"))
    mdata["protein"].X = np.full(mdata["protein"].shape, value)
    table = mmvae.pp.check(mdata)
    assert any("'protein': every feature has the same value in all cells" in note for note in table.attrs["notes"])
    assert not any("'rna'" in note for note in table.attrs["notes"])


def test_all_faults_are_raised_at_once(mdata):
    mdata["rna"].X.data[0] = np.nan
    with pytest.raises(SetupError) as raised:
        mmvae.pp.check(mdata, batch_key="batc", layers={"atca": None})
    faults = " ".join(raised.value.faults)
    assert len(raised.value.faults) == 3
    assert "NaN" in faults
    assert "Did you mean 'batch'" in faults
    assert "Did you mean 'atac'" in faults


def test_modality_that_cannot_be_read_is_a_fault(mdata):
    with pytest.raises(SetupError, match="no layer 'counts'"):
        mmvae.pp.check(mdata, layers={"rna": "counts"})


def test_layers_that_hold_no_numbers_are_passed_over(mdata):
    adata = mdata["protein"].copy()
    adata.X = np.log1p(np.asarray(adata.X))
    adata.layers["raw"] = np.full(adata.shape, "low", dtype=object)
    assert mmvae.pp.check(adata)["layer"].tolist() == ["X"]


def test_columns_named_by_numbers_are_no_hindrance(mdata):
    mdata.obs[0] = 1.0
    with pytest.raises(SetupError, match=r"key 'batc' not found.*Did you mean 'batch'"):
        mmvae.pp.check(mdata, batch_key="batc")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"modalities": {}}, r"modalities= names none; the MuData has \['rna', 'atac', 'protein'\]"),
        ({"likelihoods": {"rna": ["nb"]}}, "Expected the name of a likelihood"),
    ],
)
def test_arguments_that_name_nothing_are_faults(mdata, arguments, message):
    with pytest.raises(SetupError, match=message):
        mmvae.pp.check(mdata, **arguments)


def test_a_modality_without_x_is_told_of_its_layers(mdata):
    adata = mdata["protein"].copy()
    adata.layers["umis"] = adata.X
    adata.X = None
    with pytest.raises(SetupError, match=r"got nothing. Name one of its layers with layers=: \['umis'\]"):
        mmvae.pp.check(adata)


def test_anndata_is_one_modality(mdata):
    table = mmvae.pp.check(mdata["protein"].copy(), modalities={"protein": "protein"})
    assert table[["modality", "likelihood"]].to_numpy().tolist() == [["protein", "nb"]]


def test_other_types_are_refused():
    with pytest.raises(TypeError, match="MuData or AnnData"):
        mmvae.pp.check(np.zeros((3, 3)))
