"""A model on a graphics card, pretended: no tensor is left behind on the processor."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pretend_gpu import on_card, pretended_gpu

import mmvae
from mmvae import MultiVAE
from mmvae.fusion import Fusion
from mmvae.priors import Prior

pytestmark = pytest.mark.filterwarnings("ignore")
SIZES = {"rna": 30, "atac": 40, "protein": 8}


def simulated(seed: int = 1):
    return mmvae.datasets.simulate(80, modalities=SIZES, missing=0.4, n_batches=2, seed=seed)


# Where there is a real card, it is left alone.
TRAINING = {"accelerator": "cpu", "enable_progress_bar": False}


def trained(mdata, **kwargs) -> MultiVAE:
    model = MultiVAE(mdata, n_hidden=16, n_latent=4, **kwargs)
    model.train(max_epochs=3, **TRAINING)
    return model


@pytest.fixture(scope="module")
def model():
    mdata = simulated()
    mdata.obs["cluster"] = mdata.obs["cluster"].astype(str)
    mdata.obs.loc[mdata.obs_names[::3], "cluster"] = "unknown"
    MultiVAE.setup_mudata(mdata, batch_key="batch", labels_key="cluster", unlabeled_category="unknown")
    with pretended_gpu():
        return trained(mdata)


def test_a_tensor_left_behind_is_noticed():
    with pretended_gpu():
        there = torch.zeros(3, device="cuda")
        assert on_card(there + 1)
        assert there.device.type == "cuda"
        assert not on_card(there.cpu())
        assert float((there + torch.ones(())).sum()) == 3
        with pytest.raises(RuntimeError, match="same device"):
            there + torch.zeros(3)
        with pytest.raises(RuntimeError, match="same device"):
            torch.zeros(3) * there.sum()
        with pytest.raises(RuntimeError, match="same device"):
            torch.zeros(3)[there > 0]
        there[torch.tensor([True, False, True])] = 1.0
        with pytest.raises(RuntimeError, match="same device"):
            there[torch.tensor([True, False, True])] = torch.zeros(2)
        with pytest.raises(TypeError, match="numpy"):
            there.numpy()


@pytest.mark.parametrize("prior", sorted(Prior.registry))
def test_every_prior_is_trained_and_read(prior, in_a_ring):
    mdata = simulated()
    in_a_ring(mdata)
    keys = {"labels_key": "cluster"} | ({"prior_covariate_keys": ["cluster"]} if prior == "conditional" else {})
    MultiVAE.setup_mudata(mdata, batch_key="batch", **keys)
    with pretended_gpu():
        model = trained(mdata, prior=prior)
        assert np.isfinite(model.get_latent_representation()).all()
        model.prior_summary()
        model.check_prior()
        assert np.isfinite(float(model.get_elbo()))
        assert np.isfinite(model.get_marginal_ll(n_mc_samples=2))


@pytest.mark.parametrize("fusion", sorted(Fusion.registry))
def test_every_fusion_is_trained_and_read(fusion):
    mdata = simulated()
    MultiVAE.setup_mudata(mdata, batch_key="batch")
    with pretended_gpu():
        model = trained(mdata, fusion=fusion)
        assert np.isfinite(model.get_latent_representation()).all()
        model.leave_one_out()
        model.impute("atac")


READINGS = {
    "shared": lambda m: m.get_latent_representation(modality="shared"),
    "one modality": lambda m: m.get_latent_representation(modality="rna", return_dist=True),
    "draws": lambda m: m.get_latent_representation(give_mean=False),
    "other cells": lambda m: m.get_latent_representation(simulated(seed=2)),
    "labels": lambda m: m.predict(),
    "expression": lambda m: m.get_normalized_expression(modality="rna", n_samples=2),
    "depth": lambda m: m.get_normalized_expression(library_size="latent", transform_batch=["batch_0", "batch_1"]),
    "samples of data": lambda m: m.posterior_predictive_sample(n_samples=2),
    "parameters": lambda m: m.get_likelihood_parameters(n_samples=2),
    "library sizes": lambda m: m.get_latent_library_size(),
    "accessibility": lambda m: m.get_normalized_accessibility(normalize_cells=True),
    "correlations": lambda m: m.get_feature_correlation_matrix(n_samples=1),
    "imputation": lambda m: m.impute("protein"),
    "draws of the prior": lambda m: m.sample(5, "rna"),
    "outliers": lambda m: m.get_outlier_score(),
    "responsibilities": lambda m: m.get_responsibilities(modality="rna"),
    "information": lambda m: m.get_modality_information(),
    "leave one out": lambda m: m.leave_one_out(),
    "reconstruction": lambda m: m.get_reconstruction_error(),
    "embedding": lambda m: mmvae.tl.embed(m, m.adata.copy()),
}


@pytest.mark.parametrize("reading", READINGS)
def test_everything_is_read(model, reading):
    with pretended_gpu():
        READINGS[reading](model)


def test_a_field_is_trained_and_read():
    adata = mmvae.datasets.simulate_pdac(2, n_spots=60, n_genes=40)
    mdata = mmvae.pp.spatial(adata, slide_key="slide")
    mdata.obs["depth"] = np.asarray(mdata["rna"].X.sum(axis=1)).ravel() + 1.0
    MultiVAE.setup_mudata(mdata, batch_key="slide", size_factor_keys={"rna": "depth"})
    with pretended_gpu():
        model = trained(mdata)
        assert len(model.spatial_spectrum())
        assert np.isfinite(float(model.get_elbo()))


def test_a_query_is_trained(model):
    query = simulated(seed=2)
    query.obs["batch"] = "new"
    with pretended_gpu():
        mapped = MultiVAE.load_query_data(query, model)
        mapped.train(max_epochs=2, **TRAINING)
        assert np.isfinite(mapped.get_latent_representation()).all()
