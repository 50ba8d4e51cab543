"""Assays of the same genes and different cells as one modality."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from mudata import MuData

import mmvae
from mmvae import SetupError
from mmvae._compat import unpulled


def assay(genes: list[str], prefix: str = "c", n_cells: int = 12, seed: int = 0) -> AnnData:
    counts = np.random.default_rng(seed).poisson(2.0, (n_cells, len(genes))).astype(np.float32)
    obs = pd.DataFrame(index=[f"{prefix}{i}" for i in range(n_cells)])
    return AnnData(sp.csr_matrix(counts), obs=obs, var=pd.DataFrame(index=genes))


@pytest.fixture
def cells() -> AnnData:
    adata = assay(["A", "B", "C", "D"])
    adata.obs["cell_type"] = pd.Categorical(["t", "b", "t"] * 4)
    adata.obs["doublet"] = [True, False] * 6
    adata.obsm["X_pca"] = np.ones((12, 2))
    return adata


@pytest.fixture
def spots() -> AnnData:
    adata = assay(["E", "D", "B", "A"], "s", 9, seed=1)
    adata.obs["region"] = "x"
    adata.obsm["spatial"] = np.arange(18.0).reshape(9, 2)
    adata.uns["spatial"] = {"s1": {"images": {"lowres": np.ones((2, 2, 3))}}}
    return adata


def test_shared_genes_are_matched_by_name_in_the_order_of_the_first(cells, spots):
    joined = mmvae.pp.join_features({"scrna": cells, "visium": spots})
    assert list(joined.var_names) == ["A", "B", "D"]
    expected = np.vstack([cells[:, ["A", "B", "D"]].X.toarray(), spots[:, ["A", "B", "D"]].X.toarray()])
    np.testing.assert_array_equal(joined.X.toarray(), expected)
    assert joined.X.format == "csr"
    assert joined.X.dtype == np.float32
    assert list(joined.obs_names) == [*cells.obs_names, *spots.obs_names]


def test_the_assay_is_named_and_what_one_lacks_is_missing(cells, spots, tmp_path):
    joined = mmvae.pp.join_features({"scrna": cells, "visium": spots}, key="technique")
    assert list(joined.obs["technique"].cat.categories) == ["scrna", "visium"]
    assert list(joined.obs["technique"]) == ["scrna"] * 12 + ["visium"] * 9
    assert list(joined.obs["cell_type"][:12]) == list(cells.obs["cell_type"])
    assert joined.obs["cell_type"][12:].isna().all()
    assert joined.obs["region"].isna().sum() == 12
    assert np.isnan(joined.obsm["spatial"][:12]).all()
    np.testing.assert_array_equal(joined.obsm["spatial"][12:], spots.obsm["spatial"])
    assert np.isnan(joined.obsm["X_pca"][12:]).all()
    assert list(joined.uns["spatial"]) == ["s1"]
    joined.write_h5ad(tmp_path / "joined.h5ad")
    assert list(ad.read_h5ad(tmp_path / "joined.h5ad").obs["doublet"][:2]) == [True, False]


def test_nothing_of_the_input_is_changed(cells, spots):
    before = cells.copy(), spots.copy()
    joined = mmvae.pp.join_features({"scrna": cells, "visium": spots})
    joined.X.data[:] = -1
    joined.obsm["spatial"][:] = -1
    joined.obs["region"] = "y"
    for adata, old in zip((cells, spots), before, strict=True):
        pd.testing.assert_frame_equal(adata.obs, old.obs)
        assert (adata.X != old.X).nnz == 0
        assert list(adata.obsm) == list(old.obsm)
    np.testing.assert_array_equal(spots.obsm["spatial"], before[1].obsm["spatial"])


def test_counts_are_taken_from_the_layer_where_x_is_not_counts(cells, spots):
    expected = mmvae.pp.join_features({"a": cells, "b": spots}).X.toarray()
    spots.layers["counts"] = spots.X.copy()
    spots.X = spots.X.log1p()
    np.testing.assert_array_equal(mmvae.pp.join_features({"a": cells, "b": spots}).X.toarray(), expected)


@pytest.mark.parametrize("kind", ["csc", "dense", "backed"])
def test_matrices_of_all_kinds_are_joined(cells, spots, kind, tmp_path):
    expected = mmvae.pp.join_features({"a": cells, "b": spots}).X.toarray()
    if kind == "backed":
        spots.write_h5ad(tmp_path / "spots.h5ad")
        spots = ad.read_h5ad(tmp_path / "spots.h5ad", backed="r")
    else:
        spots.X = spots.X.tocsc() if kind == "csc" else spots.X.toarray()
    joined = mmvae.pp.join_features({"a": cells, "b": spots})
    assert joined.X.format == "csr"
    np.testing.assert_array_equal(joined.X.toarray(), expected)


def test_names_that_clash_are_preceded_by_the_assay(cells, spots):
    spots.obs_names = ["c3", *spots.obs_names[1:]]
    with pytest.warns(UserWarning, match="each name is preceded by that of its assay"):
        joined = mmvae.pp.join_features({"scrna": cells, "visium": spots})
    assert joined.obs_names.is_unique
    assert [joined.obs_names[3], joined.obs_names[12]] == ["scrna:c3", "visium:c3"]
    assert list(cells.obs_names[:1]) == ["c0"]


def test_columns_of_genes_that_assays_disagree_on_are_left_out(cells, spots):
    for adata in (cells, spots):
        adata.var["gene_ids"] = [f"id{gene}" for gene in adata.var_names]
        adata.var["n_cells"] = np.arange(adata.n_vars)
    joined = mmvae.pp.join_features({"a": cells, "b": spots})
    assert list(joined.var) == ["gene_ids"]
    assert list(joined.var["gene_ids"]) == ["idA", "idB", "idD"]


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.filterwarnings("ignore:var_names are not unique", "ignore:obs_names are not unique")
def test_modalities_that_share_no_cell_are_joined(cells, spots, axis):
    with unpulled():
        mdata = MuData({"rna": cells, "visium": spots}, axis=axis)
    mdata.obs["donor"] = [f"d{name[0]}" for name in mdata.obs_names]
    mdata.uns["spatial"] = {"s2": {"images": {"hires": np.ones((3, 3))}}}
    joined = mmvae.pp.join_features(mdata)
    assert list(joined.obs["assay"].unique()) == ["rna", "visium"]
    assert list(joined.obs["donor"]) == ["dc"] * 12 + ["ds"] * 9
    assert set(joined.uns["spatial"]) == {"s1", "s2"}
    np.testing.assert_array_equal(joined.X.toarray(), mmvae.pp.join_features({"a": cells, "b": spots}).X.toarray())


def test_images_of_one_name_that_differ_are_left_out(cells, spots):
    cells.uns["spatial"] = {"s1": {"images": {"lowres": np.zeros((2, 2, 3)), "hires": np.ones((4, 4, 3))}}}
    joined = mmvae.pp.join_features({"a": cells, "b": spots})
    assert list(joined.uns["spatial"]["s1"]["images"]) == ["hires"]


@pytest.mark.filterwarnings("ignore:var_names are not unique")
def test_modalities_of_the_same_cells_are_refused():
    with unpulled(), pytest.raises(SetupError, match=r"12 cells have both 'a' and 'b'.*setup_mudata"):
        mmvae.pp.join_features(MuData({"a": assay(["A", "B"]), "b": assay(["A", "C"])}))


def test_a_model_takes_what_is_joined_and_predicts_the_others(recwarn):
    cells, spots = assay([f"g{i}" for i in range(8)], n_cells=60), assay([f"g{i}" for i in range(8)], "s", 40)
    cells.obs["cell_type"] = ["t", "b", "m"] * 20
    joined = mmvae.pp.join_features({"scrna": cells, "visium": spots})
    mmvae.MultiVAE.setup_anndata(joined, batch_key="assay", labels_key="cell_type")
    model = mmvae.MultiVAE(joined, n_latent=2, n_hidden=8)
    model.train(2, accelerator="cpu", enable_progress_bar=False)
    found = model.predict(indices=(joined.obs["assay"] == "visium").to_numpy(), soft=True)
    assert list(found.index) == list(spots.obs_names)
    assert set(found) == {"t", "b", "m"}
    np.testing.assert_allclose(found.sum(axis=1), 1.0)


def renamed(adata: AnnData, names: list[str]) -> AnnData:
    adata.var_names = names
    return adata


GENES = [f"GENE{i}" for i in range(20)]
IDS = [f"ENSG{i:011d}" for i in range(20)]
FAULTS = {
    "one assay": (lambda: {"a": assay(GENES)}, [r"two assays at the least; got ['a']"]),
    "empty": (
        lambda: {"a": assay(GENES), "b": assay(GENES, "s")[:0].copy()},
        ["'b' is empty: it has 0 cells and 20 genes"],
    ),
    "no gene": (
        lambda: {"a": assay(GENES), "b": assay([f"x{i}" for i in range(20)], "s")},
        ["share 0 genes, of 20", "Name genes"],
    ),
    "few genes": (
        lambda: {"a": assay(GENES), "b": assay(["GENE1", *IDS[1:]], "s")},
        ["share 1 genes", "'b' has Ensembl ids"],
    ),
    "case": (
        lambda: {"a": assay(GENES), "b": assay([g.lower() for g in GENES], "s")},
        ["share 20 if upper and lower case"],
    ),
    "repeated genes": (
        lambda: {"a": renamed(assay(GENES), ["GENE1", *GENES[1:]]), "b": assay(GENES, "s")},
        ["'a': 1 names of genes are repeated", "var_names_make_unique"],
    ),
    "repeated cells": (
        lambda: {"a": assay(GENES), "b": ad.concat([assay(GENES, "s", 5)] * 2)},
        ["'b': 5 names of cells are repeated", "obs_names_make_unique"],
    ),
}


@pytest.mark.parametrize("case", FAULTS)
@pytest.mark.filterwarnings("ignore:.* names are not unique")
def test_a_fault_is_told(case):
    make, parts = FAULTS[case]
    with pytest.raises(SetupError) as caught:
        mmvae.pp.join_features(make())
    assert len(caught.value.faults) == 1
    assert not [part for part in parts if part not in str(caught.value)]


def test_a_column_of_var_with_the_other_names_is_pointed_out():
    cells = assay(GENES)
    cells.var["gene_ids"] = IDS
    with pytest.raises(SetupError, match="20 are shared if 'a' is named by its column 'gene_ids'"):
        mmvae.pp.join_features({"a": cells, "b": assay(IDS, "s")})


def test_all_faults_are_told_at_once(cells, spots):
    spots.X = spots.X.log1p()
    spots.obs["assay"] = "hiseq"
    spots.obsm["X_pca"] = pd.DataFrame(np.ones((9, 2)), index=spots.obs_names)
    third = assay(["Z"], "t")
    with pytest.raises(SetupError) as caught:
        mmvae.pp.join_features({"scrna": cells, "visium": spots, "third": third})
    for part in (
        "'visium' has a column 'assay' of other content, such as ['hiseq']",
        "['scrna', 'third'] hold counts and ['visium'] do not",
        "obsm['X_pca'] is a DataFrame in one assay and an array in another",
        "share 0 genes",
    ):
        assert part in str(caught.value)
    assert len(caught.value.faults) == 4


def test_a_column_that_names_the_assays_already_is_taken(cells, spots):
    cells.obs["assay"], spots.obs["assay"] = "scrna", "visium"
    assert list(mmvae.pp.join_features({"scrna": cells, "visium": spots}).obs["assay"].unique()) == ["scrna", "visium"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (assay(GENES), "a mapping of names to AnnData, or a MuData; got AnnData"),
        ({"a": assay(GENES), "b": np.ones((2, 2))}, r"an AnnData of each assay; got \{'b': 'ndarray'\}"),
    ],
)
def test_what_is_no_data_is_refused(data, message):
    with pytest.raises(TypeError, match=message):
        mmvae.pp.join_features(data)
