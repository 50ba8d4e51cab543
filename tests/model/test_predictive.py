"""What data a model expects, and probabilities, under scvi-tools' names, on a mosaic of every likelihood."""

from __future__ import annotations

import inspect
import warnings
from functools import cache

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import sparse
import torch
from mudata import MuData
from scvi.criticism import PosteriorPredictiveCheck
from scvi.model import MULTIVI, SCVI, TOTALVI

import mmvae
from mmvae import MultiVAE
from mmvae._compat import unpulled

N = 100
LIKELIHOODS = {
    "rna": "zinb",
    "atac": "poisson",
    "protein": "nb_mixture",
    "peaks": "bernoulli",
    "metabolites": "normal",
    "stain": "student_t",
}


def train(mdata, **setup):
    MultiVAE.setup_mudata(mdata, batch_key="batch", **setup)
    model = MultiVAE(mdata, n_latent=3, n_hidden=12)
    with warnings.catch_warnings():
        # few epochs on few cells
        warnings.simplefilter("ignore")
        model.train(3, enable_progress_bar=False)
    return model


@pytest.fixture(scope="module")
def chromatin():
    """Function that gives a model of rna and of peaks under a name, by the name or the likelihood of which they are known."""

    @cache
    def named(name):
        mdata = mmvae.datasets.simulate(60, modalities={"rna": 12, "atac": 14})
        together = MuData({"rna": mdata["rna"], name: mdata["atac"]})
        together.obs["batch"] = mdata.obs["batch"].reindex(together.obs_names)
        return train(together, likelihoods={name: "nb" if name == "atac" else "poisson"})

    return named


@pytest.fixture(scope="module")
def every():
    """A model of a mosaic with a modality for each likelihood."""
    mdata = mmvae.datasets.simulate(N, modalities={"rna": 12, "atac": 14, "protein": 6}, missing=0.3)
    parts = dict(mdata.mod)
    # scvi-tools 1.4 checks sparse counts of whole numbers only
    parts["atac"].layers["whole"] = parts["atac"].X.astype(int)
    for name, source in {"peaks": "atac", "metabolites": "protein", "stain": "protein"}.items():
        adata = parts[source].copy()
        adata.var_names = [f"{name}_{i}" for i in range(adata.n_vars)]
        values = adata.X.toarray() if sp.issparse(adata.X) else adata.X
        adata.X = (values > 0).astype(np.float32) if name == "peaks" else np.log1p(values) - 0.5
        parts[name] = adata
    with unpulled():
        together = MuData(parts)
    together.obs["batch"] = mdata.obs["batch"].reindex(together.obs_names)
    return train(together, likelihoods=LIKELIHOODS)


def has(model, name):
    return np.ravel(model.adata.obsmap[name]) > 0


@pytest.mark.parametrize(
    ("theirs", "method", "last"),
    [
        (SCVI, "posterior_predictive_sample", "batch_size"),
        (SCVI, "get_likelihood_parameters", "batch_size"),
        (SCVI, "get_latent_library_size", "batch_size"),
        (SCVI, "get_feature_correlation_matrix", "silent"),
        (TOTALVI, "get_protein_foreground_probability", "silent"),
        (MULTIVI, "get_normalized_accessibility", "return_numpy"),
    ],
)
def test_arguments_are_those_of_scvi_tools_in_their_order(theirs, method, last):
    own, others = (list(inspect.signature(getattr(c, method)).parameters.values()) for c in (MultiVAE, theirs))
    n = 1 + [p.name for p in own].index(last)
    assert [(p.name, p.default) for p in own[:n]] == [(p.name, p.default) for p in others[:n]]


def test_samples_are_of_the_kind_of_the_data_whatever_a_cell_has(every):
    found = every.posterior_predictive_sample(n_samples=3, batch_size=40)
    assert list(found) == every.modalities
    for name, samples in found.items():
        assert samples.shape == (N, every.adata[name].n_vars, 3)
        is_real = every.module.likelihoods[name].values == "real"
        assert isinstance(samples, np.ndarray if is_real else sparse.GCXS)
        dense = samples if is_real else samples.todense()
        assert np.isfinite(dense).all()
        assert dense.std(axis=2).max() > 0
        if not is_real:
            assert (dense == np.round(dense)).all()
            assert dense.min() == 0
    assert found["peaks"].max() == 1


def test_the_mean_of_samples_is_what_the_parameters_say(every):
    arguments = {"indices": [0, 1, 2], "modality": "rna"}
    torch.manual_seed(0)
    samples = every.posterior_predictive_sample(**arguments, n_samples=1000).todense()
    parameters = every.get_likelihood_parameters(**arguments, n_samples=1000, give_mean=True)
    assert {name: values.shape for name, values in parameters.items()} == dict.fromkeys(
        ("mean", "dispersions", "dropout"), (3, 12)
    )
    error = samples.std(axis=2) / np.sqrt(1000)
    expected = parameters["mean"] * (1 - parameters["dropout"])
    assert (np.abs(samples.mean(axis=2) - expected) < 5 * error + 0.05 * expected).all()


def test_samples_have_the_depth_of_the_cell(every):
    cell = int(np.flatnonzero(has(every, "atac"))[0])
    total = every.get_latent_library_size(modality="atac")[cell]
    samples = every.posterior_predictive_sample(indices=[cell], modality="atac", n_samples=500).todense()
    np.testing.assert_allclose(samples.sum(axis=1).mean(), total, rtol=0.05)


def test_one_sample_has_no_dimension_of_samples_and_features_can_be_chosen(every):
    names = list(every.adata["rna"].var_names[[3, 1]])
    assert every.posterior_predictive_sample(indices=[4], gene_list=names, modality="rna").shape == (1, 2)


def test_counts_of_several_batches_are_not_averaged(every):
    assert every.posterior_predictive_sample(indices=[4], transform_batch="batch_1", modality="rna").shape == (1, 12)
    with pytest.raises(ValueError, match="Expected one transform_batch"):
        every.posterior_predictive_sample(transform_batch=["batch_0", "batch_1"])


def test_parameters_of_every_likelihood_are_named(every):
    found = every.get_likelihood_parameters(indices=[0, 5], n_samples=2)
    names = {
        "rna": ["mean", "dispersions", "dropout"],
        "atac": ["mean"],
        "protein": ["background", "foreground", "dispersions", "background_probability"],
        "peaks": ["mean"],
        "metabolites": ["mean", "scale"],
        "stain": ["mean", "scale", "degrees_of_freedom"],
    }
    assert {name: list(parameters) for name, parameters in found.items()} == names
    for name, parameters in found.items():
        for values in parameters.values():
            assert values.shape == (2, 2, every.adata[name].n_vars)
            assert np.isfinite(values).all()
    at_mean = every.get_likelihood_parameters(modality="rna", give_mean=True)["mean"]
    np.testing.assert_allclose(
        at_mean, every.get_normalized_expression(modality="rna", library_size="latent"), rtol=1e-5
    )


def test_library_sizes_are_totals_where_there_are_counts(every):
    found = every.get_latent_library_size()
    assert list(found) == ["rna", "atac", "protein", "peaks"]
    for name, sizes in found.items():
        totals = np.full((N, 1), np.nan)
        totals[has(every, name), 0] = pd.Series(
            np.asarray(every.adata[name].X.sum(axis=1)).ravel(), every.adata[name].obs_names
        ).loc[every.adata.obs_names[has(every, name)]]
        np.testing.assert_allclose(sizes, np.maximum(totals, 1))
    with pytest.raises(ValueError, match="real numbers, which have no depth"):
        every.get_latent_library_size(modality="stain")


def test_accessibility_is_the_share_of_samples_with_a_fragment(every):
    cells = np.flatnonzero(has(every, "atac"))[:3]
    found = every.get_normalized_accessibility(indices=cells, normalize_cells=True, modality="atac")
    depth, shares = (
        every.get_latent_library_size(indices=cells, modality="atac"),
        every.get_normalized_expression(indices=cells, modality="atac"),
    )
    np.testing.assert_allclose(found, 1 - np.exp(-depth * shares), rtol=1e-4)
    median = every.get_normalized_accessibility(indices=cells, modality="atac")
    size = float(every.module.likelihoods["atac"].size_factor)
    np.testing.assert_allclose(median, 1 - np.exp(-size * shares), rtol=1e-4)
    peaks = every.get_normalized_accessibility(indices=cells, modality="peaks")
    np.testing.assert_allclose(peaks, every.get_normalized_expression(indices=cells, modality="peaks"), atol=1e-5)


def test_accessibility_takes_what_it_can_and_says_what_not(every, trained):
    model, mdata = trained
    regions = list(mdata["atac"].var_names[[5, 2]])
    found = model.get_accessibility_estimates(region_list=regions)
    assert list(found.columns) == regions
    sample = model.get_accessibility_estimates(region_list=regions, use_z_mean=False)
    assert not np.allclose(found, sample)
    assert model.get_accessibility_estimates(indices=[1], n_samples_overall=7, return_numpy=True).shape[0] == 7
    cut = float(np.median(found))
    few = model.get_accessibility_estimates(region_list=regions, threshold=cut)
    np.testing.assert_allclose(few.to_numpy(), found.where(found >= cut, 0))
    assert sp.issparse(model.get_accessibility_estimates(region_list=regions, threshold=cut, return_numpy=True))
    with pytest.raises(ValueError, match="threshold as.*'stain' has likelihood 'student_t'.*no factors of regions"):
        every.get_normalized_accessibility(modality="stain", normalize_regions=True, threshold=2)


READERS = {
    "probabilities": lambda model: model.get_normalized_accessibility().columns,
    "differences": lambda m: m.differential_accessibility(idx1=range(30), batch_correction=True, silent=True).index,
}


@pytest.mark.parametrize("name", ["atac", "other"])
@pytest.mark.parametrize("read", READERS)
def test_the_modality_of_accessibility_is_found_in_one_way(chromatin, name, read):
    model = chromatin(name)
    assert sorted(READERS[read](model)) == sorted(model.adata[name].var_names)


@pytest.mark.parametrize("read", READERS)
def test_two_modalities_of_accessibility_are_named(every, read):
    with pytest.raises(
        ValueError, match=r"one modality of chromatin accessibility; found \['atac', 'peaks'\].*Give modality"
    ):
        READERS[read](every)


def test_foreground_probabilities_are_one_less_those_of_background(every, trained):
    found = every.get_protein_foreground_probability(transform_batch=["batch_0", 1])
    assert found.shape == (N, 6)
    background = every.get_likelihood_parameters(modality="protein", give_mean=True)["background_probability"]
    own = every.get_protein_foreground_probability()
    np.testing.assert_allclose(own, 1 - background, atol=1e-5)
    names = list(own.columns[[2, 0]])
    samples = every.get_protein_foreground_probability(protein_list=names, n_samples=3, return_mean=False)
    assert samples.shape == (3, N, 2)
    with pytest.raises(ValueError, match=r"'nb_mixture' does; got None of \{'rna': 'nb'.*in setup_mudata"):
        trained[0].get_protein_foreground_probability()
    with pytest.raises(ValueError, match="got 'rna' of"):
        every.get_protein_foreground_probability(modality="rna")


def test_correlations_of_features_are_those_of_samples_free_of_noise(every):
    found = every.get_feature_correlation_matrix(n_samples=2, modality="rna")
    names = list(every.adata["rna"].var_names)
    assert list(found.index) == list(found.columns) == names
    np.testing.assert_allclose(np.diag(found), 1)
    np.testing.assert_allclose(found, found.T)
    # a poisson has no noise but that of counting: at one draw of the posterior, expected values
    one = every.get_feature_correlation_matrix(n_samples=40, correlation_type="pearson", modality="atac")
    cells = np.flatnonzero(has(every, "atac"))
    draws = every.get_normalized_expression(None, cells, n_samples=40, return_mean=False, modality="atac")
    expected = np.corrcoef(draws.reshape(-1, draws.shape[-1]), rowvar=False)
    assert np.abs(one.to_numpy() - expected).max() < 0.1


def test_correlations_of_all_modalities_are_over_cells_that_have_them_all(every):
    genes = [every.adata["rna"].var_names[0], *every.adata["protein"].var_names[:2]]
    found = every.get_feature_correlation_matrix(n_samples=1, gene_list=genes, transform_batch=["batch_0", 1])
    assert list(found) == [f"{name}:{gene}" for name, gene in zip(("rna", "protein", "protein"), genes, strict=True)]
    assert np.isfinite(found.to_numpy()).all()
    only = np.flatnonzero(~has(every, "protein"))
    given = every.get_feature_correlation_matrix(None, only, 1, gene_list=genes)
    assert np.isfinite(given.to_numpy()).all()
    with pytest.raises(ValueError, match="two cells at the least"):
        every.get_feature_correlation_matrix(indices=[0])
    with pytest.raises(ValueError, match="correlation_type as one of"):
        every.get_feature_correlation_matrix(correlation_type="kendall")


@pytest.fixture
def check(every):
    cells = np.flatnonzero(has(every, "atac"))
    return PosteriorPredictiveCheck(every.adata, {"model1": every}, "whole", 4, cells, modality="atac")


def test_posterior_predictive_checks_of_scvi_tools_run_on_a_mosaic(every, check):
    check.calibration_error()
    assert np.isfinite(check.metrics["calibration"].loc["features", "model1"])
    # the samples lie at the cells' own places, each with its depth
    samples, counts = (check.samples_dataset[name].data.todense() for name in ("model1", "Raw"))
    assert np.corrcoef(samples.mean(axis=2).sum(axis=1), counts.sum(axis=1))[0, 1] > 0.9


@pytest.mark.slow  # numba compiles sparse's operations
def test_posterior_predictive_checks_of_sparse_samples_run(every, check):
    check.coefficient_of_variation()
    check.zero_fraction()
    counts = every.adata["atac"].X.toarray()
    expected = {"cv_gene": counts.std(axis=0) / counts.mean(axis=0), "zero_fraction": (counts != 0).mean(axis=0)}
    for name, values in expected.items():
        assert list(check.metrics[name].index) == list(every.adata["atac"].var_names)
        np.testing.assert_allclose(check.metrics[name]["Raw"], values, rtol=1e-3)
        assert np.isfinite(check.metrics[name]["model1"]).all()


def test_posterior_predictive_checks_run_on_one_modality():
    adata = mmvae.datasets.simulate(60, modalities={"rna": 10})["rna"].copy()
    adata.X = adata.X.astype(int)
    MultiVAE.setup_anndata(adata)
    model = MultiVAE(adata, n_latent=2, n_hidden=8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.train(1, enable_progress_bar=False)
    check = PosteriorPredictiveCheck(adata, {"model1": model}, n_samples=2)
    check.calibration_error()
    assert np.isfinite(check.metrics["calibration"].loc["features", "model1"])


@pytest.mark.filterwarnings("ignore:The validation ELBO", "ignore:The latent of")
def test_the_only_modality_need_not_be_named_nor_called_atac():
    peaks = mmvae.datasets.simulate(60, modalities={"atac": 12}, n_batches=1)["atac"].copy()
    MultiVAE.setup_anndata(peaks)
    model = MultiVAE(peaks, n_hidden=8, n_latent=3)
    model.train(1, accelerator="cpu", enable_progress_bar=False)
    assert model.get_accessibility_estimates().shape == (60, 12)
    with pytest.raises(ValueError, match="training cells that have '.*' and another modality.*got none. Leave out"):
        model.impute(model.module.names[0], interval=0.9)
