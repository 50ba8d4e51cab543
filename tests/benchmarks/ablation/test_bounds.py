"""Held-out bounds are bounds, and say what training and the module say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scvi.model.base import VAEMixin

from benchmarks.ablation._bounds import bounds, prior_fit

# A few epochs on a hundred cells teach a model little, and it says so.
pytestmark = pytest.mark.filterwarnings("ignore:The latent of", "ignore:The validation ELBO never")


@pytest.mark.parametrize("arm", ["A0", "A2", "A4f"])
def test_the_bounds_are_in_order_and_tighten(mosaic, arm, trained):
    model = trained(arm)
    torch.manual_seed(0)
    few, many = bounds(model, mosaic, 8), bounds(model, mosaic, 64)
    assert many["elbo"] < few["iwae"] < many["iwae"]


def test_the_elbo_agrees_with_that_of_training(mosaic, trained):
    model = trained("A0")
    torch.manual_seed(0)
    closed = np.mean([float(VAEMixin.get_elbo(model)) for _ in range(100)])
    assert bounds(model, mosaic, 100)["elbo"] == pytest.approx(closed, abs=0.5)


def test_the_bound_is_that_of_the_module(mosaic, trained):
    for model in (trained("A4f"), trained("A2")):
        torch.manual_seed(0)
        expected = float(model.get_marginal_ll(n_mc_samples=200, return_mean=False).mean())
        assert bounds(model, mosaic, 200)["iwae"] == pytest.approx(expected, abs=0.3)


def test_a_prior_of_mismatched_spread_does_not_fit(mosaic, trained):
    model = trained("A1")
    found = prior_fit(model, mosaic)
    assert set(found) == {"c2st_rna", "c2st_protein", "c2st", "c2st_joint"}
    with torch.no_grad():
        model.module.priors["rna"].loc.fill_(5)
    assert prior_fit(model, mosaic)["c2st_rna"] > 0.95
