"""Training of models that stand on Lightning, within a budget."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any


def train(model: Any, budget: float | None, **options: Any) -> str:
    """Train with the model's defaults, for ``budget`` minutes at the most; text for the table if that was too short.

    ``options`` are arguments of training that leave the model's defaults what they are.
    """
    from lightning.pytorch.callbacks import Timer

    limit_threads()
    limits = {} if budget is None else {"max_time": timedelta(minutes=budget)}
    model.train(**{"enable_progress_bar": False} | limits | options)
    trainer = model.trainer
    timers = [callback for callback in trainer.callbacks if isinstance(callback, Timer)]
    if any(timer.time_remaining() <= 0 for timer in timers):
        return f"stopped at {trainer.current_epoch} of {trainer.max_epochs} epochs by the budget of {budget:g} minutes"
    return ""


def limit_threads() -> None:
    """As many threads as OMP_NUM_THREADS says; importing numba can make torch forget it."""
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", torch.get_num_threads())))
