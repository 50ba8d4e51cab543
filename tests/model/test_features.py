"""Other data's modalities and features: under other names, in another order, with others among them, or without some."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from mudata import MuData

import mmvae
from mmvae import MultiVAE, SetupError
from mmvae.data import ResidentDataset

N, G = 60, 20
pytestmark = pytest.mark.filterwarnings("ignore:The latent of", "ignore:The validation ELBO never")
QUIET = {"max_epochs": 1, "enable_progress_bar": False, "accelerator": "cpu"}
# the model's features backwards, with one that it does not know at each end
ORDER = np.r_[G, np.arange(G)[::-1], G + 1]


def simulated(seed=0, n=N):
    return mmvae.datasets.simulate(n, modalities={"rna": G, "protein": 6}, n_clusters=3, n_batches=2, seed=seed)


def rebuilt(mdata, **modalities):
    made = MuData({name: mdata[name].copy() for name in mdata.mod if name not in modalities} | modalities)
    made.obs["batch"] = mdata.obs["batch"].to_numpy()
    return made


def rearranged(mdata, kind="csr"):
    """The same cells, the features of RNA in another order and with others among them."""
    rna = mdata["rna"]
    values = sp.hstack([sp.csr_matrix(rna.X), np.full((rna.n_obs, 2), 7.0)], format="csr")[:, ORDER]
    values = {"csr": values, "csc": values.tocsc(), "dense": values.toarray(), "float64": values.astype(np.float64)}[
        kind
    ]
    names = np.r_[rna.var_names, ["new_0", "new_1"]][ORDER]
    return rebuilt(mdata, rna=ad.AnnData(values, obs=rna.obs[[]].copy(), var=pd.DataFrame(index=names)))


@pytest.fixture(scope="module")
def model():
    mdata = simulated()
    MultiVAE.setup_mudata(mdata, batch_key="batch")
    made = MultiVAE(mdata, n_hidden=8, n_latent=2)
    made.train(**QUIET)
    return made


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    where = tmp_path_factory.mktemp("features") / "model"
    model.save(where)
    return where


def same_weights(one, other):
    return all(torch.equal(a, b) for a, b in zip(one.module.parameters(), other.module.parameters(), strict=True))


said = pytest.mark.filterwarnings("ignore:modality 'rna'. 2 features that the model does not know are left out")


@said
@pytest.mark.parametrize("kind", ["csr", "csc", "dense", "float64"])
def test_features_are_put_in_order_and_unknown_ones_left_out(model, kind):
    plain, data = simulated(seed=1), rearranged(simulated(seed=1), kind)
    names, values = data["rna"].var_names.copy(), data["rna"].X
    kept = values.copy()
    expected = model.get_latent_representation(plain)
    np.testing.assert_allclose(model.get_latent_representation(data), expected, atol=1e-6)
    pd.testing.assert_frame_equal(
        model.get_normalized_expression(data, modality="rna", library_size="latent"),
        model.get_normalized_expression(plain, modality="rna", library_size="latent"),
    )
    assert data["rna"].X is values
    assert abs(values - kept).sum() == 0
    assert list(data["rna"].var_names) == list(names)


def test_what_is_left_out_is_said_once(model):
    data = rearranged(simulated(seed=1))
    with pytest.warns(
        UserWarning, match="'rna': 2 features that the model does not know are left out, such as 'new_0'"
    ):
        model.get_latent_representation(data)
    model.get_latent_representation(data)


@said
@pytest.mark.parametrize("suffix", [".h5ad", ".zarr"])
@pytest.mark.filterwarnings("ignore:Writing zarr v2")
def test_features_of_files_are_put_in_order_too(model, folder, suffix, tmp_path):
    plain, data = simulated(seed=1), rearranged(simulated(seed=1))
    for name in data.mod:
        path = tmp_path / f"{name}{suffix}"
        data[name].write_h5ad(path) if suffix == ".h5ad" else data[name].write_zarr(path)
    backed = mmvae.pp.read_backed({name: tmp_path / f"{name}{suffix}" for name in data.mod})
    backed.obs["batch"] = data.obs["batch"].to_numpy()
    expected = model.get_latent_representation(plain)
    np.testing.assert_allclose(model.get_latent_representation(backed), expected, atol=1e-6)
    loaded = MultiVAE.load(folder, backed)
    stream = mmvae.MosaicDataModule(backed).inference_dataloader()
    np.testing.assert_allclose(loaded.get_latent_representation(dataloader=stream), expected, atol=1e-6)


@said
def test_a_query_is_trained_and_saved_as_one_in_the_model_s_order(model, tmp_path):
    mapped = []
    for make in (lambda m: m, rearranged):
        data = make(simulated(seed=1))
        data.obs["batch"] = "new"
        mapped.append(MultiVAE.load_query_data(data, model))
        mapped[-1].train(**QUIET)
    plain, other = mapped
    assert same_weights(plain, other)
    assert list(other.get_var_names()["rna"]) == list(model.get_var_names()["rna"])
    other.save(tmp_path / "query", save_anndata=True)
    loaded = MultiVAE.load(tmp_path / "query")
    np.testing.assert_array_equal(loaded.get_latent_representation(), plain.get_latent_representation())
    other.minify_mudata()
    np.testing.assert_allclose(other.get_latent_representation(), plain.get_latent_representation(), atol=1e-6)


@said
def test_a_model_is_loaded_with_rearranged_data_and_trained_on_them(tmp_path):
    mdata = simulated()
    MultiVAE.setup_mudata(mdata)
    MultiVAE(mdata, n_hidden=8, n_latent=2).save(tmp_path / "untrained")
    plain, other = (MultiVAE.load(tmp_path / "untrained", make(simulated())) for make in (lambda m: m, rearranged))
    for each in (plain, other):
        each.train(**QUIET)
    assert same_weights(plain, other)


@said
def test_values_that_stay_on_a_device_are_put_in_order(model):
    data, plain = rearranged(simulated(seed=1)), simulated(seed=1)
    batches = []
    for each in (data, plain):
        model.get_latent_representation(each)
        dataset = model.get_anndata_manager(each, required=True).create_torch_dataset()
        batches.append(ResidentDataset(dataset, torch.device("cpu"))[[0, 5, 9]])
    found, expected = (model.module.minibatch(batch).values["rna"] for batch in batches)
    found, expected = (values if isinstance(values, torch.Tensor) else values.dense() for values in (found, expected))
    assert torch.equal(found, expected)


ENTRIES = {
    "get_latent_representation": lambda m, q, _: m.get_latent_representation(q),
    "get_normalized_expression": lambda m, q, _: m.get_normalized_expression(q, modality="rna"),
    "get_elbo": lambda m, q, _: m.get_elbo(q),
    "impute": lambda m, q, _: m.impute("rna", adata=q),
    "translate": lambda m, q, _: m.translate("protein", "rna", adata=q),
    "embed": lambda m, q, _: mmvae.tl.embed(m, q),
    "load": lambda m, q, folder: MultiVAE.load(folder, q),
    "load_query_data": lambda m, q, _: MultiVAE.load_query_data(q, m),
    "load_query_data from a folder": lambda m, q, folder: MultiVAE.load_query_data(q, folder),
    "a model without data": lambda m, q, folder: MultiVAE.load(folder, adata=False).get_latent_representation(q),
}


def renamed(mdata):
    return MuData({"gex": mdata["rna"].copy(), "protein": mdata["protein"].copy()})


def fewer(mdata):
    return rebuilt(mdata, rna=mdata["rna"][:, 4:].copy())


def empty(mdata):
    return mdata[:0].copy()


REFUSED = {
    "another name": (renamed, "'gex'"),
    "features missing": (
        fewer,
        r"of the model's 20 features 4 \(20.0%\) are missing, such as 'gene_0', 'gene_1', 'gene_2'",
    ),
    "no cells": (empty, "there are no cells"),
}


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused_by_every_entry(model, folder, case, entry):
    make, words = REFUSED[case]
    query = make(simulated(seed=1))
    columns = list(query.obs)
    with pytest.raises(SetupError, match=words):
        ENTRIES[entry](model, query, folder)
    assert list(query.obs) == columns


@pytest.mark.parametrize("entry", ENTRIES)
def test_a_modality_may_be_absent_in_every_entry(model, folder, entry):
    query = MuData({"protein": simulated(seed=1)["protein"].copy()})
    query.obs["batch"] = "batch_0"
    ENTRIES[entry](model, query, folder)


def named(mdata, names, **var):
    rna = mdata["rna"].copy()
    rna.var_names = names
    for column, values in var.items():
        rna.var[column] = values
    return rebuilt(mdata, rna=rna)


IDS = [f"ENSG{i:011d}" for i in range(G)]
HINTS = {
    "case": (lambda n: (n, n.str.upper(), {}), "another case, such as 'GENE_0'"),
    "versions": (lambda n: (IDS, [f"{i}.2" for i in IDS], {}), "number of a version, such as 'ENSG00000000000.2'"),
    "identifiers": (lambda n: (n, IDS, {}), "model's are no Ensembl identifiers, the data's Ensembl identifiers"),
    "symbols": (lambda n: (IDS, n, {}), "model's are Ensembl identifiers, the data's no Ensembl identifiers"),
    "a column": (lambda n: (n, IDS, {"symbol": n}), r"var\['symbol'\] holds such names"),
    "nothing": (lambda n: (n, "x" + n, {}), "Train the model on the features that both have"),
}


@pytest.mark.parametrize("case", HINTS)
def test_names_that_are_written_in_another_way_are_told_apart(case):
    build, words = HINTS[case]
    mdata, query = simulated(), simulated(seed=1)
    own, others, var = build(mdata["rna"].var_names)
    mdata = named(mdata, own)
    MultiVAE.setup_mudata(mdata, batch_key="batch")
    untrained = MultiVAE(mdata, n_hidden=8, n_latent=2)
    untrained.is_trained_ = True
    with pytest.raises(SetupError, match=f"20 features 20 .*are missing.*{words}"):
        untrained.get_latent_representation(named(query, others, **var))


@pytest.mark.filterwarnings("ignore:Variable names are not unique")
def test_features_of_an_anndata_that_share_a_name_are_refused():
    adata = simulated()["rna"].copy()
    MultiVAE.setup_anndata(adata)
    made = MultiVAE(adata, n_hidden=8, n_latent=2)
    made.is_trained_ = True
    query = simulated(seed=1)["rna"].copy()
    query.var_names = ["gene_1", *query.var_names[1:]]
    with pytest.raises(SetupError, match="adata.var_names: 1 names occur more than once"):
        made.get_latent_representation(query)
