"""The same call gives the same answer and leaves the global generators alone; draws are drawn anew from these."""

from __future__ import annotations

import random

import numpy as np
import pandas as pd
import pytest
import torch

import mmvae
from mmvae import MultiVAE

pytestmark = pytest.mark.filterwarnings("ignore:The latent of", "ignore:The validation ELBO never", "ignore:.*predict")


@pytest.fixture(scope="module")
def model():
    mdata = mmvae.datasets.simulate(60, modalities={"rna": 12, "atac": 10, "protein": 6}, n_clusters=3, missing=0.3)
    MultiVAE.setup_mudata(mdata, batch_key="batch", likelihoods={"protein": "nb_mixture"})
    model = MultiVAE(mdata, n_hidden=8, n_latent=2)
    model.train(1, accelerator="cpu", enable_progress_bar=False)
    return model


SAME = {
    "latent": lambda m: m.get_latent_representation(),
    "latent and variance": lambda m: m.get_latent_representation(return_dist=True),
    "ELBO": lambda m: m.get_elbo(),
    "errors": lambda m: m.get_reconstruction_error(),
    "marginal likelihood": lambda m: m.get_marginal_ll(n_mc_samples=2),
    "expected values": lambda m: m.get_normalized_expression(modality="rna"),
    "imputation": lambda m: m.impute("rna", n_samples=2),
    "intervals": lambda m: m.impute("rna", interval=0.5),
    "translation": lambda m: m.translate("rna", "protein", n_samples=2),
    "correlations": lambda m: m.get_feature_correlation_matrix(n_samples=2),
    "information": lambda m: m.get_modality_information(),
    "outliers": lambda m: m.get_outlier_score(),
    "samples": lambda m: m.sample(4, "rna"),
    "check of the prior": lambda m: m.check_prior(n_cells=20),
    "abundance": lambda m: (m.differential_abundance(sample_key="batch", num_cells_posterior=5), m.adata.obsm.copy())[
        1
    ],
}
DRAWS = {
    "latent": lambda m: m.get_latent_representation(give_mean=False),
    "expected values": lambda m: m.get_normalized_expression(modality="rna", n_samples=2),
    "of some cells": lambda m: m.get_normalized_expression(modality="rna", n_samples_overall=5),
    "predictive": lambda m: m.posterior_predictive_sample(modality="rna"),
    "parameters": lambda m: m.get_likelihood_parameters(modality="rna", n_samples=2),
    "foreground": lambda m: m.get_protein_foreground_probability(n_samples=2),
    "accessibility": lambda m: m.get_normalized_accessibility(modality="atac", use_z_mean=False),
}


def flat(found) -> np.ndarray:
    if isinstance(found, dict):
        return flat(tuple(found.values()))
    if hasattr(found, "keys") and not isinstance(found, pd.DataFrame):  # what differential_abundance writes
        return flat(found["da_log_probs"])
    if isinstance(found, tuple):
        return np.concatenate([flat(part) for part in found])
    values = found.select_dtypes("number") if isinstance(found, pd.DataFrame) else found
    return np.asarray(values.todense() if hasattr(values, "todense") else values, dtype=float).ravel()


def states() -> tuple:
    return random.getstate()[1], np.random.get_state()[1].tobytes(), np.random.get_state()[2], torch.get_rng_state()


def same(one: tuple, other: tuple) -> bool:
    return one[:3] == other[:3] and torch.equal(one[3], other[3])


@pytest.mark.parametrize("readout", SAME)
def test_the_same_call_gives_the_same_answer(model, readout):
    before = states()
    first = flat(SAME[readout](model))
    assert same(before, states())
    torch.rand(3)
    np.testing.assert_array_equal(flat(SAME[readout](model)), first)


@pytest.mark.parametrize("readout", DRAWS)
def test_draws_are_drawn_anew_and_the_same_from_the_same_state(model, readout):
    found = []
    for seed in (0, None, 0):
        if seed is not None:
            torch.manual_seed(seed)
            np.random.seed(seed)
        found.append(flat(DRAWS[readout](model)))
    assert not np.array_equal(found[0], found[1], equal_nan=True)
    np.testing.assert_array_equal(found[0], found[2])
