"""Expected values as scvi-tools' arguments ask for them, on a mosaic."""

from __future__ import annotations

import inspect
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from scvi.model import SCVI

import mmvae
from mmvae import MultiVAE

BATCHES = ["batch_0", "batch_1", "batch_2"]


@pytest.fixture(scope="module")
def bernoulli():
    """A model of open peaks, a few cells of which lack them."""
    mdata = mmvae.datasets.simulate(80, modalities={"rna": 12, "atac": 20}, missing=0.3)
    mdata["atac"].X = (mdata["atac"].X > 0).astype(np.float32)
    MultiVAE.setup_mudata(mdata, likelihoods={"atac": "bernoulli"})
    model = MultiVAE(mdata, n_latent=3, n_hidden=8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.train(1, enable_progress_bar=False)
    return model


def test_arguments_are_those_of_scvi_tools_in_their_order():
    own, theirs = (
        list(inspect.signature(cls.get_normalized_expression).parameters.values()) for cls in (MultiVAE, SCVI)
    )
    n = 1 + next(i for i, parameter in enumerate(own) if parameter.name == "silent")
    assert [(p.name, p.default) for p in own[:n]] == [(p.name, p.default) for p in theirs[:n]]


def test_without_a_modality_all_are_returned_by_name(trained):
    model, mdata = trained
    found = model.get_normalized_expression(indices=[5, 2])
    assert list(found) == model.modalities
    for name, frame in found.items():
        pd.testing.assert_frame_equal(frame, model.get_normalized_expression(indices=[5, 2], modality=name))
        assert list(frame.index) == list(mdata.obs_names[[5, 2]])
        assert list(frame.columns) == list(mdata[name].var_names)


def test_features_are_found_in_the_modalities_that_have_them(trained):
    model, mdata = trained
    wanted = [mdata["protein"].var_names[2], mdata["rna"].var_names[7], mdata["rna"].var_names[1]]
    found = model.get_normalized_expression(gene_list=wanted)
    assert {name: list(frame) for name, frame in found.items()} == {"rna": wanted[1:], "protein": wanted[:1]}


def test_several_batches_are_averaged_and_may_be_named_by_code(trained):
    model, _ = trained
    each = [model.get_normalized_expression(transform_batch=batch, modality="rna") for batch in BATCHES]
    both = model.get_normalized_expression(transform_batch=[BATCHES[0], 2], modality="rna")
    np.testing.assert_allclose(both, (each[0] + each[2]) / 2, rtol=1e-5)
    own = model.get_normalized_expression(transform_batch=[None], modality="rna")
    np.testing.assert_allclose(own, model.get_normalized_expression(modality="rna"))
    with pytest.raises(ValueError, match="transform_batch among.*got '3'"):
        model.get_normalized_expression(transform_batch=3)
    with pytest.raises(ValueError, match="one or more of"):
        model.get_normalized_expression(transform_batch=[])


def test_samples_are_returned_or_averaged(trained):
    model, mdata = trained
    torch.manual_seed(0)
    draws = model.get_normalized_expression(indices=[3, 4], n_samples=6, return_mean=False, modality="rna")
    torch.manual_seed(0)
    mean = model.get_normalized_expression(indices=[3, 4], n_samples=6, modality="rna")
    assert draws.shape == (6, 2, mdata["rna"].n_vars)
    assert draws.std(axis=0).min() > 0
    np.testing.assert_allclose(draws.mean(axis=0), mean, rtol=1e-5)
    one = model.get_normalized_expression(indices=[3, 4], return_mean=False, modality="rna")
    assert isinstance(one, pd.DataFrame)
    assert not np.allclose(one, model.get_normalized_expression(indices=[3, 4], modality="rna"))


def test_samples_of_modalities_belong_together(trained):
    model, _ = trained
    arguments = {"indices": [3], "n_samples": 2, "return_mean": False}
    torch.manual_seed(0)
    together = model.get_normalized_expression(**arguments)
    for name, values in together.items():
        torch.manual_seed(0)
        np.testing.assert_allclose(values, model.get_normalized_expression(**arguments, modality=name), rtol=1e-6)


def test_samples_overall_are_single_draws_of_random_cells(trained):
    model, mdata = trained
    found = model.get_normalized_expression(None, [1, 9], n_samples_overall=40, weights="uniform", modality="protein")
    assert found.shape == (40, mdata["protein"].n_vars)
    assert set(found.index) == set(mdata.obs_names[[1, 9]])
    assert len(np.unique(found.iloc[:, 0])) == 40
    # in no order, as pairs of draws are compared by place
    assert not found.index.is_monotonic_increasing
    with pytest.raises(ValueError, match="cells to draw n_samples_overall from"):
        model.get_normalized_expression(None, [], n_samples_overall=40)


def test_importance_weights_are_refused_in_words(trained):
    with pytest.raises(ValueError, match="weights='uniform'.*priors here are learned"):
        trained[0].get_normalized_expression(n_samples_overall=5, weights="importance")


def test_arrays_are_returned_where_asked_for(trained):
    found = trained[0].get_normalized_expression(indices=[0], return_numpy=True)
    assert {type(values) for values in found.values()} == {np.ndarray}


def test_a_file_takes_one_modality_and_a_mean(trained, tmp_path):
    for arguments in ({}, {"modality": "rna", "n_samples": 2, "return_mean": False}):
        with pytest.raises(ValueError, match="one modality and the mean over samples with out"):
            trained[0].get_normalized_expression(**arguments, out=tmp_path / "values.zarr")
    assert not list(tmp_path.iterdir())


def test_latent_library_size_is_the_measured_depth_or_the_median(trained):
    model, mdata = trained
    shares = model.get_normalized_expression(modality="rna")
    scaled = model.get_normalized_expression(library_size="latent", modality="rna")
    totals = pd.Series(np.asarray(mdata["rna"].X.sum(axis=1)).ravel(), mdata["rna"].obs_names)
    expected = totals.reindex(mdata.obs_names, fill_value=float(model.module.likelihoods["rna"].size_factor))
    assert (mdata.obsmap["rna"] == 0).any()
    np.testing.assert_allclose(scaled.sum(axis=1), expected, rtol=1e-4)
    np.testing.assert_allclose(scaled, shares.mul(expected, axis=0), rtol=1e-4)


def test_probabilities_are_at_median_depth_or_at_the_measured_one(bernoulli):
    mdata = bernoulli.adata
    median, own = (bernoulli.get_normalized_expression(modality="atac", library_size=size) for size in (7, "latent"))
    lacks = np.ravel(mdata.obsmap["atac"]) == 0
    np.testing.assert_allclose(own[lacks], median[lacks], rtol=1e-5)
    shift = (np.log(own / (1 - own)) - np.log(median / (1 - median))).mean(axis=1)
    totals = np.asarray(mdata["atac"].X.sum(axis=1)).ravel()
    expected = np.log(totals.clip(1) / float(bernoulli.module.likelihoods["atac"].size_factor))
    np.testing.assert_allclose(shift[mdata["atac"].obs_names], expected, atol=1e-3)


def test_a_progress_bar_is_shown_when_asked_for(trained, capsys):
    trained[0].get_normalized_expression(indices=[0], modality="rna")
    assert not capsys.readouterr().out
    trained[0].get_normalized_expression(indices=[0], modality="rna", silent=False)
    assert "Reading cells" in "".join(capsys.readouterr())
