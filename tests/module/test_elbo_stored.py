"""The ELBO on fixed weights and noise, against numbers stored before the step was made a value."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from small_module import MOSAIC, fixed_noise, small_module

from mmvae._config import CovariateConfig

STORED = Path(__file__).parent / "elbo.npz"
CASES = {
    "concat": ("concat", {"name": "mog", "n_components": 4}),
    "poe": ("poe", {"name": "mog", "n_components": 4}),
    "coupled": ("concat", {"name": "coupled", "kind": "gaussian"}),
}


@pytest.mark.parametrize("presence", [None, MOSAIC], ids=["complete", "mosaic"])
@pytest.mark.parametrize("case", CASES)
def test_the_elbo_is_what_it_was(case, presence):
    stored = np.load(STORED)
    fusion, prior = CASES[case]
    module = small_module(
        fusion,
        prior,
        likelihoods={"rna": "nb", "atac": "poisson", "protein": "nb_mixture"},
        covariates=CovariateConfig(n_batch=2, n_categories=(3,), n_continuous=1),
        n_layers=2,
    )
    weights = f"{case}/weights/"
    state = dict(renamed(k[len(weights) :], stored[k]) for k in stored.files if k.startswith(weights))
    new = {name: value for name, value in module.state_dict().items() if name.endswith(".proposal")}
    module.load_state_dict(new | state)
    tensors = {k.split("/")[-1]: torch.tensor(stored[k]) for k in stored.files if k.startswith(f"{ids(presence)}/")}
    with torch.no_grad(), fixed_noise():
        losses = module.eval()(tensors)[-1]
    elbo = -(sum(losses.reconstruction_loss.values()) + sum(losses.kl_local.values()))
    assert torch.allclose(elbo, torch.tensor(stored[f"{case}/{ids(presence)}"]), rtol=1e-5, atol=0)


def ids(presence) -> str:
    return "complete" if presence is None else "mosaic"


def renamed(name: str, value: np.ndarray) -> tuple[str, torch.Tensor]:
    """A weight under its present name: first layers hold the weights of an input together now."""
    old = "first.fc_layers.Layer 0.0."
    if old not in name:
        return name, torch.tensor(value)
    return name.replace(old, "input."), torch.tensor(value.T if name.endswith("weight") else value)
