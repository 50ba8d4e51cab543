from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import mmvae
from mmvae import SetupError
from mmvae._compat import unpulled
from mmvae.pp import split_modalities

N = 30
TYPES = {"Gene Expression": 8, "Antibody Capture": 4, "Peaks": 12, "CRISPR Guide Capture": 2}


def matrix(types=TYPES):
    """One matrix of features of several types, in no order."""
    rng = np.random.default_rng(0)
    names = rng.permutation(np.repeat(list(types), list(types.values())))
    counts = sp.csr_matrix(rng.poisson(1.0, (N, len(names))).astype(np.float32))
    adata = ad.AnnData(
        counts, obs=pd.DataFrame({"donor": np.resize(["a", "b"], N)}, index=[f"cell_{i}" for i in range(N)])
    )
    adata.var_names = [f"feature_{i}" for i in range(adata.n_vars)]
    adata.var["feature_types"] = pd.Categorical(names, categories=[*types, "none has it"])
    adata.layers["double"] = counts * 2
    adata.varm["loading"] = rng.normal(size=(adata.n_vars, 2))
    adata.obsm["spatial"] = rng.normal(size=(N, 2))
    adata.obsp["near"] = sp.eye(N, format="csr")
    adata.uns["spatial"] = {"slide": {}}
    return adata


def test_each_type_is_a_modality_of_its_features():
    adata = matrix()
    mdata = split_modalities(adata)
    names = {"Gene Expression": "rna", "Antibody Capture": "protein", "Peaks": "atac"}
    assert {n: a.n_vars for n, a in mdata.mod.items()} == {
        "rna": 8,
        "protein": 4,
        "atac": 12,
        "crispr_guide_capture": 2,
    }
    for each in TYPES:
        of_type = adata[:, adata.var["feature_types"] == each]
        part = mdata[names.get(each, "crispr_guide_capture")]
        assert list(part.obs_names) == list(adata.obs_names)
        assert list(part.var_names) == list(of_type.var_names)
        for found, expected in ((part.X, of_type.X), (part.layers["double"], of_type.layers["double"])):
            np.testing.assert_array_equal(found.toarray(), expected.toarray())
        np.testing.assert_array_equal(part.varm["loading"], of_type.varm["loading"])


def test_what_belongs_to_cells_is_the_mudata_s():
    adata = matrix()
    mdata = split_modalities(adata)
    assert mdata.obs["donor"].tolist() == adata.obs["donor"].tolist()
    np.testing.assert_array_equal(mdata.obsm["spatial"], adata.obsm["spatial"])
    assert (mdata.obsp["near"] != adata.obsp["near"]).nnz == 0
    assert mdata.uns["spatial"] == {"slide": {}}


def test_the_result_is_set_up_and_the_input_left_as_it_is():
    adata = matrix()
    with pytest.raises(SetupError, match=r"split_modalities\(adata\)"):
        mmvae.MultiVAE.setup_anndata(adata)
    mdata = split_modalities(adata)
    assert set(mmvae.pp.check(mdata, batch_key="donor")["likelihood"]) == {"nb", "poisson"}
    mmvae.MultiVAE.setup_mudata(mdata, batch_key="donor")
    mdata["rna"].X.data[:] = 0
    assert adata.X.sum() == matrix().X.sum()
    assert adata.obs.equals(matrix().obs)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("Multiplexing Capture", "multiplexing_capture"),
        ("a.b+c", "a_b_c"),
        ("Shared", "shared_features"),
        ("++", "features"),
    ],
)
def test_names_of_other_types_are_made_usable(given, name):
    mdata = split_modalities(matrix({"Gene Expression": 5, given: 5}))
    assert sorted(mdata.mod) == sorted(["rna", name])
    mmvae.MultiVAE.setup_mudata(mdata)


def test_one_type_makes_one_modality():
    assert list(split_modalities(matrix({"Peaks": 5})).mod) == ["atac"]


def test_a_view_is_split_too():
    assert split_modalities(matrix()[:10]).n_obs == 10


def no_type(adata):
    adata.var.loc[adata.var_names[:3], "feature_types"] = np.nan


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda a: a.var.__delitem__("feature_types"), ["no column 'feature_types'", "varies"]),
        (no_type, ["no value for 3 of 26 features"]),
        (lambda a: a.obsm.__setitem__("rna", np.ones((N, 2))), ["obsm['rna'] has the name of a modality"]),
        (lambda a: setattr(a, "obs_names", ["cell"] * N), ["obs_names are not unique"]),
        (
            lambda a: a.var.__setitem__("feature_types", np.resize(["Peaks", "ATAC"], a.n_vars)),
            ["['Peaks', 'ATAC']", "'atac'"],
        ),
    ],
    ids=["no column", "no type", "matrix of a modality's name", "cells of one name", "types of one name"],
)
@pytest.mark.filterwarnings("ignore:Observation names are not unique")
def test_what_cannot_be_split_is_named(spoil, words):
    adata = matrix()
    adata.var["varies"] = True
    spoil(adata)
    with pytest.raises(SetupError) as caught:
        split_modalities(adata)
    for word in words:
        assert word in str(caught.value)


def test_other_objects_are_refused():
    with unpulled():
        mdata = split_modalities(matrix())
    with pytest.raises(TypeError, match=r"mdata\['rna'\]"):
        split_modalities(mdata)
