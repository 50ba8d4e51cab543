"""Imputation is of what was withheld, and its scores are right where they are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.ablation._imputation import coverage, pearson, predict
from mmvae._compat import unpulled

# A few epochs on a hundred cells teach a model little, and it says so.
pytestmark = pytest.mark.filterwarnings("ignore:The latent of", "ignore:The validation ELBO never")


def test_predictions_do_not_see_what_they_predict(mosaic, trained):
    model = trained("A0")
    with unpulled():
        changed = mosaic.copy()
    changed.mod["protein"].X = changed.mod["protein"].X[::-1].copy()
    found = []
    for mdata in (mosaic, changed):
        torch.manual_seed(0)
        found.append(predict(model, mdata, "protein", keep=False, n_draws=2))
    np.testing.assert_allclose(found[0].rates, found[1].rates, rtol=1e-5)
    assert (mosaic.obs["pattern"].to_numpy()[found[0].rows] == "rna+protein").all()


def test_correlation_and_coverage_of_known_cases():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(400, 3))
    noisy = truth + rng.normal(size=truth.shape)
    assert pearson(truth, truth) == pytest.approx(1)
    assert pearson(np.ones_like(truth), truth) == 0
    draws = noisy + rng.normal(size=(200, *truth.shape))
    assert coverage(draws, truth) == pytest.approx(0.9, abs=0.03)
