"""Sizes of network and minibatch by the number of cells, how long to train, and when what begins."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ._report import MONITOR

SMALL, MEDIUM = 3_000, 30_000
KL_WARMUP_SHARE, KL_WARMUP_STEPS = 1 / 3, 2_000
WARM_START_EPOCHS, LATEST_START = 10, 2 / 3
GRADIENT_NORM, LOADING_SD = 50.0, 1.0
FEWEST_MINIBATCHES, SMALLEST_MINIBATCH = 4, 8


@dataclass(frozen=True)
class Defaults:
    """Sizes and schedule for a number of cells; the notes of ``MultiVAE`` say how they were chosen."""

    n_latent: int
    n_hidden: int
    n_layers: int
    dropout_rate: float
    batch_size: int
    max_epochs: int
    lr: float


def defaults_for(n_cells: int) -> Defaults:
    """Defaults for ``n_cells`` training cells."""
    if n_cells < SMALL:
        return Defaults(10, 128, 1, 0.1, 128, 200, 2e-3)
    if n_cells < MEDIUM:
        return Defaults(15, 128, 2, 0.1, 128, max(40, min(200, 500_000 // n_cells)), 1e-3)
    return Defaults(20, 256, 2, 0.1, 256, max(20, min(50, 1_500_000 // n_cells)), 1e-3)


@dataclass(frozen=True)
class Schedule:
    """Epochs, ``steps`` in an epoch of ``batch_size`` cells each, and the arguments of the training ``plan``.

    ``early`` and ``late`` are the epochs before which priors start; from ``late`` on epochs are comparable.
    """

    max_epochs: int
    batch_size: int
    steps: int
    early: int
    late: int
    plan: dict[str, Any]

    def trainer_options(self, *, has_validation: bool) -> dict[str, Any]:
        """Arguments of the trainer that the user's own may replace."""
        return {
            "gradient_clip_val": GRADIENT_NORM,
            "early_stopping_monitor": MONITOR,
            "early_stopping_min_delta": 0.1,
            "early_stopping_warmup_epochs": self.late,
            "check_val_every_n_epoch": 1 if has_validation else None,
            "log_every_n_steps": self.steps,
        }


def schedule_for(
    n_cells: int, chosen: Defaults, epochs: int | None = None, size: int | None = None, plan: Mapping[str, Any] = {}
) -> Schedule:
    """The schedule of a training on ``n_cells``, of the user's ``epochs`` and minibatch ``size`` or ``chosen`` ones.

    Priors start after a few epochs, some when the KL has warmed up, between the end of the first and two thirds of all.
    """
    epochs = chosen.max_epochs if epochs is None else epochs
    size = min(chosen.batch_size if size is None else size, max(n_cells // FEWEST_MINIBATCHES, SMALLEST_MINIBATCH))
    steps = max(1, n_cells // size)
    by_default = max(1, min(int(epochs * KL_WARMUP_SHARE), KL_WARMUP_STEPS // steps))
    # An epoch of more steps than the warm-up takes would else be one without a KL.
    in_steps = KL_WARMUP_STEPS if steps > KL_WARMUP_STEPS and "n_epochs_kl_warmup" not in plan else None
    by_default_plan = {"lr": chosen.lr, "eps": 1e-8, "weight_decay": 0.0, "loading_sd": LOADING_SD, "n_cells": n_cells}
    plan = by_default_plan | {"n_steps_kl_warmup": in_steps} | dict(plan)
    plan = {"n_epochs_kl_warmup": by_default if plan["n_steps_kl_warmup"] is None else None} | plan
    # As the training plan reads them: epochs come first, and neither is no warm-up.
    warmup = plan["n_epochs_kl_warmup"] or -(-(plan["n_steps_kl_warmup"] or 0) // steps)
    late = min(warmup or by_default, max(1, int(epochs * LATEST_START)))
    return Schedule(epochs, size, steps, min(WARM_START_EPOCHS, late), late, plan)
