"""A small mosaic, and arms of the ladder trained on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import mmvae
from benchmarks.ablation._arms import build

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(scope="module")
def mosaic():
    return mmvae.datasets.simulate(150, modalities={"rna": 30, "protein": 8}, missing=0.4, seed=0)


@pytest.fixture
def trained(mosaic) -> Callable[[str], mmvae.MultiVAE]:
    def of_arm(arm: str) -> mmvae.MultiVAE:
        model = build(arm, mosaic, "batch", seed=0, kl_scale=1.0)
        model.train(max_epochs=4, accelerator="cpu", enable_progress_bar=False)
        return model

    return of_arm
