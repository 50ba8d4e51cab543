"""What methods are asked for, and of which cells."""

from __future__ import annotations

import numpy as np
import pytest

import mmvae
from mmvae import MultiVAE

pytestmark = pytest.mark.filterwarnings("ignore:The latent of", "ignore:The validation ELBO never")


def simulated(n_cells, seed):
    return mmvae.datasets.simulate(n_cells, modalities={"rna": 12, "protein": 6}, n_clusters=3, seed=seed)


@pytest.fixture(scope="module")
def model():
    mdata = simulated(300, seed=3)
    MultiVAE.setup_mudata(mdata)
    model = MultiVAE(mdata, n_latent=3, n_hidden=8)
    model.train(2, train_size=0.2, enable_progress_bar=False)
    return model


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "model"
    model.save(path, save_anndata=False)
    return path


@pytest.fixture(params=[60, 500], ids=["fewer cells", "more cells"])
def elsewhere(folder, request):
    """The model, loaded with other data than it was trained with."""
    return MultiVAE.load(folder, simulated(request.param, seed=4))


@pytest.mark.parametrize("method", ["get_outlier_score", "get_shared_spectrum"])
def test_cells_of_other_data_are_not_taken_for_training_cells(elsewhere, method):
    with pytest.raises(ValueError, match="data that the model was trained with"):
        getattr(elsewhere, method)()


def test_other_data_have_no_held_out_cells(elsewhere):
    assert set(elsewhere.check_prior()["n_cells"]) == {elsewhere.adata.n_obs}


def test_what_needs_no_training_cells_can_be_read_of_other_data(model, elsewhere):
    score = elsewhere.get_outlier_score(reference=model.adata)
    assert score.shape == (elsewhere.adata.n_obs,)
    assert np.isfinite(elsewhere.get_latent_representation()).all()


def test_the_data_of_the_training_are_known_again(model, folder):
    again = MultiVAE.load(folder, simulated(300, seed=3))
    np.testing.assert_allclose(again.get_outlier_score(), model.get_outlier_score())
    assert set(again.check_prior()["n_cells"]) == {len(model.validation_indices_)}


def test_other_data_are_those_of_the_training_once_trained_on(elsewhere):
    elsewhere.train(1, enable_progress_bar=False)
    assert elsewhere.get_outlier_score().shape == (elsewhere.adata.n_obs,)


@pytest.mark.parametrize(
    ("method", "arguments", "words"),
    [
        ("sample", {"n": 2.5, "modality": "rna"}, "n as a whole number above 0; got 2.5"),
        ("sample", {"n": 2, "modality": "rna", "library_size": -1}, "library_size as a number of at least 0; got -1"),
        ("check_prior", {"n_cells": -5}, "n_cells as a whole number above 0; got -5"),
        ("prior_summary", {"n_features": -1}, "n_features as a whole number of at least 0; got -1"),
        ("get_normalized_expression", {"library_size": "observed"}, "library_size as a number.*got 'observed'"),
        ("get_normalized_expression", {"modality": "rna", "gene_list": ["x"]}, "1 are unknown, such as 'x'"),
    ],
)
def test_numbers_and_names_that_cannot_be_used_are_named(model, method, arguments, words):
    with pytest.raises(ValueError, match=words):
        getattr(model, method)(**arguments)


def test_a_single_feature_may_be_named_without_a_list(model):
    assert list(model.get_normalized_expression(modality="rna", gene_list="gene_3")) == ["gene_3"]


def test_a_prior_of_no_kind_is_named(model):
    with pytest.raises(TypeError, match="Expected a prior as a name.*got 3"):
        MultiVAE(model.adata, prior=3)


def test_one_weight_serves_all_modalities(model):
    weighted = MultiVAE(model.adata, modality_weights=2.0)
    assert weighted.init_params_["non_kwargs"]["modality_weights"] == {"rna": 2.0, "protein": 2.0}


@pytest.mark.parametrize("argument", ["n_latent", "input_dropout", "modality_weights"])
def test_no_number_for_a_modality_is_one_that_is_not_named(model, argument):
    chosen = {"rna": None, "protein": 1 if argument == "n_latent" else 0.5}
    if argument == "n_latent":
        with pytest.raises(ValueError, match="n_latent as one number or for each of"):
            MultiVAE(model.adata, n_latent=chosen)
    else:
        settled = MultiVAE(model.adata, **{argument: chosen}).init_params_["non_kwargs"][argument]
        assert settled == {"rna": {"input_dropout": 0.0, "modality_weights": 1.0}[argument], "protein": 0.5}
