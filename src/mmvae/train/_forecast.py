"""What a training takes, told beforehand: memory by sizes, time by the first steps."""

import time
from collections.abc import Collection
from typing import Any

import h5py
import numpy as np
import psutil
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from tqdm.auto import tqdm

from mmvae._printing import printable

from ._schedule import defaults_for

COPIES = 6  # of each weight: itself, its gradient, Adam's two moments, the best and the last epoch's
# Values that a step holds for each cell and feature of a minibatch, and what a readout of dense values holds.
OF_STEP, OF_READOUT, READOUT_CELLS = 6, 3, 1_024
BYTES, GB = 4, 2**30
FIRST, LAST = 3, 13  # steps to measure; those before prepare things


def memory_note(n_cells: int, matrices: Collection[Any]) -> str:
    """What training by default takes on ``n_cells`` of these values, ``(n_m, G_m)``, and what there is, in words."""
    chosen = defaults_for(n_cells)
    n_features = sum(matrix.shape[1] for matrix in matrices)
    n_dense = sum(matrix.shape[1] for matrix in matrices if isinstance(matrix, np.ndarray | h5py.Dataset))
    return _words_of(memory_needed(2 * chosen.n_hidden * n_features, n_features, chosen.batch_size, n_dense))


def memory_needed(n_weights: int, n_features: int, batch_size: int, n_dense: int = 0) -> int:
    """Bytes that training takes beside the values, about; ``n_dense`` of the features are of dense matrices."""
    of_cells = OF_STEP * batch_size * n_features + OF_READOUT * READOUT_CELLS * n_dense
    return BYTES * (COPIES * n_weights + of_cells)


def _words_of(needed: int) -> str:
    free = psutil.virtual_memory().available
    takes = f"about {needed / GB:.2g} GB" if needed > GB / 10 else "less than 0.1 GB"
    said = f"Training takes {takes} of memory beside the values; {free / GB:.2g} GB are free."
    return said if needed < free else f"{said} Choose variable features, or a smaller n_hidden."


class Forecast(Callback):
    """Says what memory the training takes, and after its first steps how long, where there is a progress bar."""

    def __init__(self, needed: int) -> None:
        self.needed, self.start, self.is_said = needed, 0.0, False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.first = int(max(0, min(FIRST, trainer.num_training_batches - 1)))
        # Loaders without a length do not tell how long they take.
        self.is_said = trainer.num_training_batches == float("inf")
        say(trainer, _words_of(self.needed))
        if placement := getattr(getattr(trainer, "datamodule", None), "placement", ""):
            say(trainer, placement)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Look at the clock once the first steps are done."""
        if not self.is_said and batch_idx == self.first:
            self.start = time.perf_counter()

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Say what the steps since then promise."""
        if self.is_said or not (batch_idx == LAST or trainer.is_last_batch):
            return
        self.is_said = True
        step = (time.perf_counter() - self.start) / (batch_idx - self.first + 1)
        epoch, epochs = step * int(trainer.num_training_batches), trainer.max_epochs or 1
        of_all = f"all {epochs} of them would take {_time(epochs * epoch)}"
        say(trainer, f"An epoch takes about {_time(epoch)}; {of_all}.")


def say(trainer: Trainer, sentence: str) -> None:
    """Tell the user, where there is a progress bar."""
    if trainer.progress_bar_callback is not None and trainer.is_global_zero:
        tqdm.write(printable(sentence))  # above the bar


def _time(seconds: float) -> str:
    """A time in words, two digits of it."""
    for size, unit in ((3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.2g} {unit}"
    return f"{seconds:.2g} seconds"
