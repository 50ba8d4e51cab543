"""Priors that look at what tells batches apart."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import mmvae
from mmvae import MultiVAE

N = 60


@pytest.fixture
def mdata():
    made = mmvae.datasets.simulate(N, modalities={"rna": 12, "protein": 6}, n_batches=2)
    batch = made.obs["batch"].astype(str)
    made.obs["site"] = batch.map({"batch_0": "north", "batch_1": "south"})
    made.obs["donor"] = batch + np.where(np.arange(N) % 4 < 2, "x", "y")
    made.obs["stage"] = np.resize(["early", "early", "late", "late"], N)
    made.obs["partly"] = np.where(made.obs["site"] == "north", "a", np.resize(["a", "b"], N))
    return made


@pytest.mark.parametrize(
    ("key", "batch"),
    [("batch", "batch"), ("site", "batch"), ("donor", "batch"), ("stage", ["batch", "stage"])],
    ids=["the batch", "the batch renamed", "nested in the batch", "a part of the batch"],
)
def test_a_prior_that_sees_the_batch_warns(mdata, key, batch, capsys):
    MultiVAE.setup_mudata(mdata, batch_key=batch, prior_covariate_keys=[key])
    assert f"prior covariate '{key}'" in " ".join(capsys.readouterr().out.split())
    with pytest.warns(UserWarning, match=f"'{key}' tells the batches"):
        MultiVAE(mdata, n_latent=3, prior={"rna": "conditional"})


@pytest.mark.parametrize("prior", ["conditional", "mog"])
@pytest.mark.parametrize("key", ["stage", "partly"])
def test_biology_that_occurs_in_several_batches_is_taken_as_it_is(mdata, key, prior):
    MultiVAE.setup_mudata(mdata, batch_key="batch", prior_covariate_keys=[key])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        MultiVAE(mdata, n_latent=3, prior=prior)


def test_one_batch_tells_nothing(mdata):
    MultiVAE.setup_mudata(mdata, prior_covariate_keys=["site"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        MultiVAE(mdata, n_latent=3, prior="conditional")


def test_other_priors_may_have_the_batch_in_sight(mdata):
    MultiVAE.setup_mudata(mdata, batch_key="batch", prior_covariate_keys=["site"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        MultiVAE(mdata, n_latent=3, prior="mog")
