"""Every call that cannot be answered gives its documented exception, in words, and changes neither data nor model.

Data that cannot be set up stand in ``test_bad_inputs.py``, and numbers and names of the wrong kind in ``test_arguments.py``.
"""

from __future__ import annotations

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from mudata import MuData
from snapshots import assert_same, snapshot

import mmvae
from mmvae import MultiVAE, SetupError
from mmvae._compat import unpulled

N = 200
FRAME = pd.DataFrame(np.ones((4, 3)), columns=list("abc"))


def new(**sizes) -> MuData:
    """Cells that no model knows."""
    return mmvae.datasets.simulate(20, modalities=sizes or {"rna": 300, "atac": 800, "protein": 30}, n_clusters=3)


def untrained(mdata, **arguments) -> MultiVAE:
    return MultiVAE(mdata, n_hidden=4, n_latent=2, prior="normal", **arguments)


def without(mdata, *names: str) -> MuData:
    with unpulled():
        return MuData({name: adata for name, adata in mdata.mod.items() if name not in names})


def file(path, text: str = "no data"):
    path.write_text(text)
    return path


# What is done with a trained model, its data and a folder; the exception; and words that the message holds.
MODEL = {
    "data that were not set up": (
        lambda m, d, p: MultiVAE(new()),
        ValueError,
        ["Expected data that were set up; got a MuData that was not. Call MultiVAE.setup_mudata first."],
    ),
    "a table as data": (
        lambda m, d, p: MultiVAE(FRAME),
        TypeError,
        ["Expected mdata to be a MuData or AnnData; got DataFrame"],
    ),
    "unknown prior": (
        lambda m, d, p: MultiVAE(d, prior="mgo"),
        ValueError,
        ["one of ['conditional'", "got 'mgo'. Did you mean 'mog'?"],
    ),
    "number for a prior": (
        lambda m, d, p: MultiVAE(d, prior=3),
        TypeError,
        ["Expected a prior as a name, a mapping with 'name'", "got 3"],
    ),
    "unknown argument of a prior": (
        lambda m, d, p: MultiVAE(d, prior={"name": "mog", "k": 3}),
        ValueError,
        ["Expected arguments of prior 'mog' among ['n_latent', 'n_components']; got ['k']"],
    ),
    "prior of an unknown modality": (
        lambda m, d, p: MultiVAE(d, prior={"rnaa": "mog"}),
        ValueError,
        ["got priors for ['rnaa']"],
    ),
    "joint prior of one modality": (
        lambda m, d, p: MultiVAE(d, prior={"rna": "coupled"}),
        ValueError,
        ["Expected prior 'coupled' for all modalities, prior='coupled'; got it for ['rna'] alone"],
    ),
    "labels that are not there": (
        lambda m, d, p: MultiVAE(d, prior="labels"),
        ValueError,
        ["Expected labels for prior 'labels'; got none. Give labels_key in setup_mudata."],
    ),
    "covariates that are not there": (
        lambda m, d, p: MultiVAE(d, prior="conditional"),
        ValueError,
        ["Expected covariates for prior 'conditional'; got none. Give prior_covariate_keys in setup_mudata."],
    ),
    "neighbours that are not there": (
        lambda m, d, p: MultiVAE(d, prior="gmrf"),
        ValueError,
        [
            "Expected data with a graph of neighbouring cells",
            "for prior 'gmrf'; got none. Make them with mmvae.pp.spatial",
        ],
    ),
    "a prior that does not suit the fusion": (
        lambda m, d, p: MultiVAE(d, prior="vamp", fusion="poe"),
        ValueError,
        [
            "Expected a prior that suits the one latent of fusion 'poe'; got 'vamp'",
            "Use prior 'mog' or 'normal', or fusion 'concat'.",
        ],
    ),
    "a joint prior with one latent": (
        lambda m, d, p: MultiVAE(d, prior="coupled", fusion="poe"),
        ValueError,
        ["Expected fusion 'concat' or 'attention' with a coupled prior; got 'poe', which has one latent"],
    ),
    "unknown fusion": (
        lambda m, d, p: MultiVAE(d, fusion="concta"),
        ValueError,
        ["got 'concta'. Did you mean 'concat'?"],
    ),
    "sizes of some modalities": (
        lambda m, d, p: MultiVAE(d, n_latent={"rna": 3}),
        ValueError,
        ["Expected n_latent as one number or for each of ['rna', 'atac', 'protein']; got it for ['rna']"],
    ),
    "weight of an unknown modality": (
        lambda m, d, p: MultiVAE(d, modality_weights={"rnaa": 1.0}),
        ValueError,
        ["Expected modality_weights as one number or for some of ['rna', 'atac', 'protein']; got it for ['rnaa']"],
    ),
    "heads that do not divide the width": (
        lambda m, d, p: MultiVAE(d, fusion={"name": "attention", "width": 30, "n_heads": 4}),
        ValueError,
        ["Expected width as a multiple of n_heads; got 30 and 4. Change one of them."],
    ),
}
TRAIN = {
    "shares beyond one": (
        lambda m, d, p: untrained(d).train(1, train_size=0.9, validation_size=0.2),
        ValueError,
        ["train_size + validation_size <= 1; got 0.9 and 0.2"],
    ),
    "a split by an unknown column": (
        lambda m, d, p: untrained(d).train(1, split_by="bach"),
        ValueError,
        ["Expected split_by as 'cells', 'blocks' or a column of obs", "got 'bach'. Did you mean 'batch'?"],
    ),
    "a split by neighbours that are not there": (
        lambda m, d, p: untrained(d).train(1, split_by="blocks"),
        ValueError,
        ["Expected data with a graph of neighbours for split_by='blocks'; got none. See mmvae.pp.spatial."],
    ),
    "halves of cells": (
        lambda m, d, p: untrained(d).train(1, external_indexing=[[0.5, 1.0]]),
        ValueError,
        ["Expected external_indexing as lists of numbers of cells", "got [[0.5, 1.0]]"],
    ),
    "a callback that is none": (
        lambda m, d, p: untrained(d).train(1, callbacks=[print]),
        TypeError,
        [
            "Expected callbacks to be a Callback; got builtin_function_or_method. Give a list of those of lightning.pytorch.callbacks."
        ],
    ),
    "text for the plan": (
        lambda m, d, p: untrained(d).train(1, plan_kwargs="lr=1"),
        TypeError,
        ["Expected plan_kwargs as a mapping or a config of scvi-tools; got 'lr=1'"],
    ),
    "text for the loaders": (
        lambda m, d, p: untrained(d).train(1, datasplitter_kwargs="shuffle"),
        TypeError,
        ["Expected datasplitter_kwargs to be a Mapping; got str"],
    ),
    "a misspelt argument of a training": (
        lambda m, d, p: untrained(d).train(max_epoch=1),
        TypeError,
        ["Expected arguments of train or of scvi.train.Trainer; got ['max_epoch']. Did you mean 'max_epochs'?"],
    ),
    "a data module for a model with data": (
        lambda m, d, p: untrained(d).train(1, datamodule=mmvae.MosaicDataModule(set_up(new()))),
        ValueError,
        ["Expected a model without data to train on a data module; got one with. Use MultiVAE(registry=...)."],
    ),
}
READ = {
    "text for the data of a bound": (
        lambda m, d, p: m.get_elbo("all", indices=[1]),
        TypeError,
        ["Expected adata to be a MuData or AnnData; got str"],
    ),
    "text for the data of samples": (
        lambda m, d, p: m.differential_abundance("all", sample_key="batch"),
        TypeError,
        ["Expected adata to be a MuData or AnnData; got str"],
    ),
    "an untrained model": (
        lambda m, d, p: untrained(d).get_latent_representation(),
        RuntimeError,
        ["train"],
    ),
    "a misspelt modality": (
        lambda m, d, p: m.get_latent_representation(modality="protien"),
        ValueError,
        [
            "Expected modality as one of ['fused', 'unweighted', 'shared', 'rna', 'atac', 'protein']; got 'protien'. Did you mean 'protein'?"
        ],
    ),
    "two modalities": (
        lambda m, d, p: m.get_latent_representation(modality="rna", representation="atac"),
        ValueError,
        ["Expected modality and representation, which mean the same, to agree", "Give modality."],
    ),
    "variance of what has none": (
        lambda m, d, p: m.get_latent_representation(modality="shared", return_dist=True),
        ValueError,
        ["Expected return_dist=False for 'shared', which has no posterior; got True."],
    ),
    "names for cells": (
        lambda m, d, p: m.get_latent_representation(indices=["cell_0"]),
        ValueError,
        [
            "Expected indices as numbers of cells or as a mask of all 200 cells; got ['cell_0']",
            "For names, give obs_names.get_indexer(names).",
        ],
    ),
    "cells that are not there": (
        lambda m, d, p: m.get_elbo(indices=[N]),
        ValueError,
        ["out of bounds for axis 0 with size 200"],
    ),
    "a mask of other data": (
        lambda m, d, p: m.get_elbo(indices=np.ones(3, dtype=bool)),
        ValueError,
        ["mask of all 200 cells"],
    ),
    "a table of cells": (lambda m, d, p: m.get_elbo(indices=[[0, 1]]), ValueError, ["got [[0, 1]] (2 dimensions)"]),
    "a dataloader that is empty": (
        lambda m, d, p: m.get_latent_representation(dataloader=iter([])),
        ValueError,
        ["Expected a dataloader with cells; got one that has none, or has been read to its end. Make it anew."],
    ),
    "unknown features": (
        lambda m, d, p: m.get_normalized_expression(modality="rna", gene_list=["gene_0", "CD4"]),
        ValueError,
        ["Expected features of 'rna'; 1 are unknown, such as 'CD4'"],
    ),
    "unknown batch to decode in": (
        lambda m, d, p: m.get_normalized_expression(modality="rna", transform_batch="b"),
        ValueError,
        ["Expected transform_batch among ['batch_0', 'batch_1', 'batch_2']; got 'b'"],
    ),
    "no batch to decode in": (
        lambda m, d, p: m.get_normalized_expression(modality="rna", transform_batch=[]),
        ValueError,
        ["Expected transform_batch as one or more of ['batch_0', 'batch_1', 'batch_2']; got none"],
    ),
    "foreground of a likelihood without": (
        lambda m, d, p: m.get_protein_foreground_probability(),
        ValueError,
        [
            "Expected a modality whose likelihood tells foreground from background",
            "likelihoods={'protein': 'nb_mixture'}",
        ],
    ),
    "factors of regions": (
        lambda m, d, p: m.get_normalized_accessibility(modality="atac", normalize_regions=True),
        ValueError,
        ["Expected normalize_regions=False, as no factors of regions are learned; got True."],
    ),
    "labels without labels": (lambda m, d, p: m.predict(), ValueError, ["labels_key"]),
    "intervals of few samples": (
        lambda m, d, p: m.impute("rna", interval=0.9, n_samples=5),
        ValueError,
        ["Expected n_samples of at least 19 for interval=0.9; got 5. Leave it out."],
    ),
    "the source as the target": (
        lambda m, d, p: m.translate("rna", "rna"),
        ValueError,
        ["Expected a target that is none of the sources, ['rna']; got 'rna'. Leave it out of source."],
    ),
    "groups of an unknown column": (
        lambda m, d, p: m.differential_expression(groupby="clusters", modality="rna", silent=True),
        KeyError,
        ["key 'clusters' not found; looked in mdata.obs", "Did you mean 'cluster'?"],
    ),
    "an unknown group": (
        lambda m, d, p: m.differential_expression(groupby="batch", group1="b", modality="rna", silent=True),
        ValueError,
        ["Expected groups among ['batch_0', 'batch_1', 'batch_2']; got ['b']"],
    ),
    "cells in both groups": (
        lambda m, d, p: m.differential_expression(idx1=[0, 1], idx2=[1, 2], modality="rna", silent=True),
        ValueError,
        ["Expected idx1 and idx2 to have no cell in common; got 1"],
    ),
    "the second group alone": (
        lambda m, d, p: m.differential_expression(idx2=[1, 2], modality="rna", silent=True),
        ValueError,
        ["Expected idx2 together with idx1, the cells to compare them with; got it alone."],
    ),
    "samples of an unknown column": (
        lambda m, d, p: m.differential_abundance(sample_key="batches"),
        ValueError,
        ["Expected sample_key as one of", "got 'batches'. Did you mean 'batch'?"],
    ),
    "two batches of the posterior predictive": (
        lambda m, d, p: m.posterior_predictive_sample(modality="rna", transform_batch=["batch_0", "batch_1"]),
        ValueError,
        ["Expected one transform_batch, as the mean of counts over several is no count; got several."],
    ),
    "a way to minify that there is not": (
        lambda m, d, p: m.minify_mudata("counts"),
        ValueError,
        ["Expected minified_data_type as one of ['latent_posterior_parameters'", "got 'counts'"],
    ),
    "the method of an AnnData": (
        lambda m, d, p: m.minify_adata(),
        ValueError,
        ["Expected data registered with setup_anndata; got data registered with setup_mudata. Use minify_mudata."],
    ),
    "smoothness of a prior without": (
        lambda m, d, p: m.spatial_spectrum(),
        ValueError,
        ["Expected a latent with prior 'gmrf'; got {'rna': 'mog'"],
    ),
}
QUERY = {
    "one modality as an AnnData": (
        lambda m, d, p: m.get_latent_representation(new()["rna"]),
        SetupError,
        ["expected a MuData, as the model was set up with; got an AnnData. Make MuData({'rna': adata})."],
    ),
    "a table": (
        lambda m, d, p: m.get_latent_representation(FRAME),
        TypeError,
        ["Expected adata to be a MuData or AnnData; got DataFrame"],
    ),
    "other features": (lambda m, d, p: m.get_latent_representation(new(rna=20)), SetupError, ["modality 'rna': "]),
    "data without the batch": (
        lambda m, d, p: m.get_latent_representation(without(new(), "atac")),
        SetupError,
        ["key 'batch' not found; looked in mdata.obs"],
    ),
    "an untrained reference": (
        lambda m, d, p: MultiVAE.load_query_data(new(), untrained(d)),
        ValueError,
        ["Expected a trained reference to map data onto; got one that is not trained. Call its train first."],
    ),
    "a reference that is none": (
        lambda m, d, p: MultiVAE.load_query_data(new(), 3),
        TypeError,
        ["Expected reference_model to be a MultiVAE or str or PathLike; got int"],
    ),
    "data that are none": (
        lambda m, d, p: MultiVAE.load_query_data(FRAME, m),
        TypeError,
        ["Expected adata to be a MuData or AnnData; got DataFrame"],
    ),
    "a model in the place of data": (
        lambda m, d, p: mmvae.tl.embed(d, m),
        TypeError,
        ["Expected model to be a MultiVAE; got MuData. The model comes first, then the data."],
    ),
}
FILES = {
    "no file": (
        lambda m, d, p: mmvae.pp.read_backed(p / "a.h5mu"),
        FileNotFoundError,
        ["Expected a file or a Zarr store at '", "a.h5mu'; got none. Correct the path."],
    ),
    "a file of text": (
        lambda m, d, p: mmvae.pp.read_backed(file(p / "a.h5mu")),
        ValueError,
        ["Expected a file of HDF5 or a Zarr store; '", "cannot be read as one"],
    ),
    "a folder of nothing": (
        lambda m, d, p: mmvae.pp.read_backed(p),
        ValueError,
        ["Expected a file of HDF5 or a Zarr store; '"],
    ),
    "a file of an AnnData": (
        lambda m, d, p: (ad.AnnData(np.ones((2, 2))).write_h5ad(p / "a.h5ad"), mmvae.pp.read_backed(p / "a.h5ad")),
        ValueError,
        ["Expected the file of a MuData; got ", "give a mapping by modality"],
    ),
    "an output that is there": (
        lambda m, d, p: m.get_normalized_expression(modality="rna", out=file(p / "a.h5ad")),
        FileExistsError,
        ["Expected a new name for out; '", "exists. Give another or overwrite=True."],
    ),
    "an output of another kind": (
        lambda m, d, p: m.get_normalized_expression(modality="rna", out=p / "a.csv"),
        ValueError,
        [".h5ad", ".zarr"],
    ),
    "a figure of another kind": (
        lambda m, d, p: mmvae.pl.history(m, save=p / "a.txt", show=False),
        ValueError,
        ["Expected save as the name of a file that ends in one of ['", "got '", "Give such as 'figure.png'."],
    ),
    "a file of Visium that is not there": (
        lambda m, d, p: mmvae.datasets.pdac_visium(p / "a.h5ad"),
        FileNotFoundError,
        ["Expected a file at '", "got none. Correct `path`, or leave it out to download the file."],
    ),
}
CALLS = {"model": MODEL, "train": TRAIN, "read": READ, "query": QUERY, "files": FILES}


def set_up(mdata: MuData) -> MuData:
    MultiVAE.setup_mudata(mdata)
    return mdata


@pytest.mark.parametrize(("group", "case"), [(group, case) for group, cases in CALLS.items() for case in cases])
def test_a_call_that_cannot_be_answered_says_why_and_changes_nothing(trained, tmp_path, group, case):
    model, mdata = trained
    call, error, words = CALLS[group][case]
    before, weights = snapshot(mdata), {name: value.clone() for name, value in model.module.state_dict().items()}
    with pytest.raises(error) as caught:
        call(model, mdata, tmp_path)
    plt.close("all")
    for word in words:
        assert word in str(caught.value)
    assert_same(before, snapshot(mdata))
    assert all(torch.equal(value, weights[name]) for name, value in model.module.state_dict().items())
    assert model.is_trained_
