"""Callbacks: the start of the priors, and the weights to keep."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, cast

import torch
from lightning.pytorch.callbacks import Callback

if TYPE_CHECKING:
    from collections.abc import Callable

    from lightning.pytorch import LightningModule, Trainer
    from torch import nn

MONITOR = "elbo_validation"


class PriorStart(Callback):
    """Calls ``start`` once, before epoch ``epoch``: the priors then begin from the latents."""

    def __init__(self, start: Callable[[], None], epoch: int) -> None:
        self.start, self.epoch = start, epoch

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the priors when their epoch has come."""
        if trainer.current_epoch == self.epoch:
            self.start()


class KeepWeights(Callback):
    """Remembers the weights of the last finite epoch and of the best validation ELBO from epoch ``first`` on.

    Before ``first`` the KL is still warming up and the priors have not started, so ELBOs are not comparable.
    """

    def __init__(self, first: int) -> None:
        self.first = first
        self.best = float("inf")
        self.best_epoch: int | None = None
        self.best_state: dict[str, Any] | None = None
        self.last_epoch: int | None = None
        self.last_state: dict[str, Any] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remember the initial weights."""
        self.last_state = copy.deepcopy(_weights(pl_module))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remember the weights if they are finite, and if they are the best."""
        state = _weights(pl_module)
        if not all(torch.isfinite(value).all() for value in state.values() if value.is_floating_point()):
            return
        self.last_state, self.last_epoch = copy.deepcopy(state), trainer.current_epoch
        value = trainer.callback_metrics.get(MONITOR)
        if value is not None and trainer.current_epoch >= self.first and float(value) < self.best:
            self.best, self.best_epoch, self.best_state = float(value), trainer.current_epoch, self.last_state


def _weights(plan: LightningModule) -> dict[str, Any]:
    return cast("nn.Module", plan.module).state_dict()
