"""Clocks: seconds, of each epoch too, and how busy a card is."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from typing import Any

import numpy as np
from lightning.pytorch.callbacks import Callback

# In percent of the last fraction of a second. A program for each look, as one that goes on may keep its lines back.
ASK_CARD = ("nvidia-smi", "--id=0", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits")
SECONDS_BETWEEN_LOOKS = 0.2


def now() -> float:
    """Seconds by the clock, once a card, if there is one at work, has done what it was given."""
    import torch

    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return time.perf_counter()


class EpochTimes(Callback):
    """When each epoch began and ended, from its first minibatch to its last, by :func:`now`.

    Parameters
    ----------
    epochs
        Number of epochs after which training may end.
    enough
        It ends then once those that count took so many seconds.
    """

    def __init__(self, epochs: int, enough: float = 0.0) -> None:
        self.epochs, self.enough = epochs, enough
        self.spans: list[tuple[float, float]] = []
        self._start = 0.0

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Note when the first minibatch is there."""
        if batch_idx == 0:
            self._start = now()

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Note when the last one is done."""
        if trainer.is_last_batch:
            self.spans.append((self._start, now()))

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """End training where enough was seen."""
        if len(self.spans) >= self.epochs and sum(self.seconds()) >= self.enough:
            trainer.should_stop = True

    def counted(self) -> list[tuple[float, float]]:
        """Spans of the epochs that count: the first warms up the machine, unless it is the only one.

        Raises
        ------
        ValueError
            If the trainer did not report as many epochs.
        """
        if len(self.spans) < self.epochs:
            msg = f"Expected {self.epochs} epochs with a first and a last minibatch; got {len(self.spans)}."
            raise ValueError(msg)
        return self.spans[1:] or self.spans

    def seconds(self) -> list[float]:
        """Seconds of the epochs that count."""
        return [end - start for start, end in self.counted()]


class CardUse:
    """Watches, as a context, in what share of the time some kernel runs on the card.

    Parameters
    ----------
    command
        Program that prints the percentage of the time just gone by; where it is not, nothing is seen.
    """

    def __init__(self, command: tuple[str, ...] = ASK_CARD) -> None:
        self.command, self.seen = command, list[tuple[float, float]]()
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> CardUse:
        if shutil.which(self.command[0]) is None:
            self._over.set()
        self._watch.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._over.set()
        self._watch.join()

    def within(self, spans: list[tuple[float, float]]) -> float:
        """Mean share, between 0 and 1, of what was seen in these spans; NaN if nothing was."""
        inside = [share for when, share in self.seen if any(start <= when <= end for start, end in spans)]
        return float(np.mean(inside)) if inside else float("nan")

    def _look(self) -> None:
        while not self._over.wait(SECONDS_BETWEEN_LOOKS):
            said = subprocess.run(self.command, capture_output=True, text=True).stdout.strip()
            if said.isdigit():
                self.seen.append((time.perf_counter(), int(said) / 100))
