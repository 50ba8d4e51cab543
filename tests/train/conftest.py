from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from lightning.pytorch.callbacks import Callback

import mmvae
from mmvae import MultiVAE

if TYPE_CHECKING:
    from collections.abc import Callable

    from mudata import MuData


class At(Callback):
    """Calls ``act(trainer, plan)`` at the start of epoch ``epoch``, or at the end of its first step."""

    def __init__(self, epoch: int, act: Callable, *, in_step: bool = False) -> None:
        self.epoch, self.act, self.in_step = epoch, act, in_step

    def on_train_epoch_start(self, trainer, pl_module) -> None:
        if trainer.current_epoch == self.epoch and not self.in_step:
            self.act(trainer, pl_module)

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        if trainer.current_epoch == self.epoch and self.in_step and batch_idx == 0:
            self.act(trainer, pl_module)


@pytest.fixture
def at() -> type[At]:
    """A callback that acts in one epoch."""
    return At


@pytest.fixture
def mdata() -> MuData:
    """80 cells of two modalities, registered."""
    mdata = mmvae.datasets.simulate(80, modalities={"rna": 20, "protein": 6}, n_clusters=3, seed=0)
    MultiVAE.setup_mudata(mdata)
    return mdata


@pytest.fixture
def build(mdata) -> Callable[..., MultiVAE]:
    """Function that makes a small model of ``mdata``."""
    return lambda **arguments: MultiVAE(mdata, **{"n_hidden": 16, "n_latent": 3} | arguments)


@pytest.fixture
def train() -> Callable[..., MultiVAE]:
    """Function that trains a model in silence, and gives it back."""

    def run(model: MultiVAE, max_epochs: int | None = 4, **arguments) -> MultiVAE:
        model.train(max_epochs, accelerator="cpu", enable_progress_bar=False, **arguments)
        return model

    return run
