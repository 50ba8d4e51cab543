"""Filled latents of held-out cells are as sure as they should be, after training, saving and loading."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch

from mmvae import MultiVAE
from mmvae.datasets import simulate

N_TRAINED, N_HELD, LOG_POWER = 500, 300, "fusion.predictor.log_power"
# Residuals that count as right; 1 is.
LEAST, MOST = 0.8, 1.25


@pytest.fixture(scope="module")
def cells():
    return simulate(N_TRAINED + N_HELD, n_batches=1)


@pytest.fixture(scope="module")
def model(cells):
    mdata = cells[:N_TRAINED].copy()
    MultiVAE.setup_mudata(mdata)
    model = MultiVAE(mdata, n_latent=8, n_hidden=64)
    model.train(max_epochs=60, enable_progress_bar=False)
    return model


@pytest.fixture(scope="module")
def held(cells):
    return cells[N_TRAINED:].copy()


def latent(model, cells, names, target):
    """Mean and variance of a modality's latent of cells that have modalities ``names``."""
    shown = type(cells)({name: cells[name].copy() for name in names})
    return model.get_latent_representation(shown, modality=target, return_dist=True)


def residuals(model, cells, size):
    """Mean squared standardised residual of each modality's latent from each ``size`` others."""
    found = {}
    for target in cells.mod:
        mean, variance = latent(model, cells, [target], target)
        for sources in combinations([name for name in cells.mod if name != target], size):
            loc, spread = latent(model, cells, sources, target)
            found[target, sources] = float((((mean - loc) ** 2 + variance) / spread).mean())
    return found


@pytest.mark.parametrize("size", [1, 2])
def test_fills_are_as_sure_as_they_should_be(model, held, size):
    found = residuals(model, held, size)
    assert all(LEAST < residual < MOST for residual in found.values()), found


def test_a_saved_model_fills_alike(model, held, tmp_path):
    model.save(tmp_path / "model")
    loaded = MultiVAE.load(tmp_path / "model", adata=model.adata)
    first, second = list(held.mod)[:2]
    torch.manual_seed(0)
    expected = latent(model, held, [first], second)
    torch.manual_seed(0)
    np.testing.assert_array_equal(latent(loaded, held, [first], second), expected)


def test_a_model_that_was_saved_without_powers_is_loaded(model, held, tmp_path):
    model.save(tmp_path / "model")
    saved = torch.load(tmp_path / "model" / "model.pt", weights_only=False)
    del saved["model_state_dict"][LOG_POWER]
    torch.save(saved, tmp_path / "model" / "model.pt")
    loaded = MultiVAE.load(tmp_path / "model", adata=model.adata)
    predictor = loaded.module.fusion.predictor
    assert (predictor.log_power + predictor.even_power).abs().max() < 1e-6  # a plain product
    assert np.isfinite(residuals(loaded, held, 2)[next(reversed(held.mod)), tuple(held.mod)[:2]])


def test_a_query_fills_as_its_reference(model, held):
    before = model.module.state_dict()[LOG_POWER].clone()
    mapped = MultiVAE.load_query_data(held.copy(), model)
    mapped.train(max_epochs=1, enable_progress_bar=False)
    assert torch.equal(mapped.module.state_dict()[LOG_POWER], before)
