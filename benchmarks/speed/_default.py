"""``train`` with the defaults of each method, to its own end, and when its latent was as good as in the end.

What training reaches is the bio-conservation of ``benchmarks.scores``, against the labels of the data. The weights are put
aside after some of the epochs, each an eighth later than the one before, and read once training is over; the clock stands
still while they are put aside.
"""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from lightning.pytorch.callbacks import Callback

from benchmarks.scores.embedding import bio_conservation
from benchmarks.training import train

from ._budget import CutShortError
from ._clock import now
from ._jobs import CUDA, Choice, Job, Measured
from ._methods import METHODS
from ._sets import SETS, Real, load_for, methods_of
from ._training import clear_card, measured, model_of, train_options

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mudata import MuData

    from benchmarks.data import DataSet

CLOSE = 0.99
STRIDE = 1 / 8


def jobs(choice: Choice) -> Iterator[Job]:
    """A run for each real set and method; then the next round."""
    for number in choice.rounds:
        for name in (name for name in choice.sets if isinstance(SETS[name], Real)):
            # What is sampled or sent otherwise is no default.
            for method in (title for title in methods_of(name, choice) if METHODS[title].is_default):
                yield Job("default", name, method, 0, number, partial(_measure, choice, name, method, number))


def _measure(choice: Choice, name: str, method: str, number: int) -> Measured:
    mdata = load_for(method, name, choice.folder, choice.cells, again=choice.device == CUDA)
    return to_its_end(mdata, SETS[name].data_set, method, number, choice)


def to_its_end(mdata: MuData, data_set: DataSet, method: str, seed: int, choice: Choice) -> Measured:
    """Seconds of set-up and training, those after which the latent was within 1% of the last, and how good that is.

    Raises
    ------
    CutShortError
        If the budget of the call did not last.
    """
    clear_card(choice.device)
    started = now()
    model = model_of(method, mdata, seed, data_set.batch, equal=False)
    values = {"setup": now() - started}
    minutes = None if choice.budget.left is None else choice.budget.left / 60
    with tempfile.TemporaryDirectory() as folder:
        aside = WeightsAside(Path(folder))
        options = train_options(method, choice.device, callbacks=[aside])
        if note := train(model, minutes, **options):
            raise CutShortError(note)
        seconds = aside.seconds()
        final = score(model, mdata, data_set)
        # Whoever had ended training there would have waited for what follows the last epoch, too.
        tail = seconds - aside.at[max(aside.at)]
        scored = []
        for epoch in aside.saved:
            aside.load(epoch, model)
            METHODS[method].settle(model)
            scored.append((aside.at[epoch] + tail, score(model, mdata, data_set)))
    values |= {"train": seconds, "n_epochs": float(max(aside.at)), "bio": final}
    return measured(mdata, values | reached([*scored, (seconds, final)]))


class WeightsAside(Callback):
    """Puts the weights aside after some epochs, in a folder, and tells the seconds of training without the time for it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # Seconds after which each epoch ended; epochs whose weights are there.
        self.at: dict[int, float] = {}
        self.saved: list[int] = []
        self._start, self._next = now(), 1.0

    def seconds(self) -> float:
        """Seconds so far."""
        return now() - self._start

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Note the time, and save the weights if it is their turn."""
        import torch

        epoch = trainer.current_epoch + 1
        self.at[epoch] = self.seconds()
        if epoch >= self._next:
            torch.save(pl_module.module.state_dict(), self.folder / f"{epoch}.pt")
            self.saved.append(epoch)
            self._next = epoch * (1 + STRIDE)
            self._start = now() - self.at[epoch]

    def load(self, epoch: int, model: Any) -> None:
        """Give the model the weights of an epoch."""
        import torch

        model.module.load_state_dict(torch.load(self.folder / f"{epoch}.pt", weights_only=True))


def score(model: Any, mdata: MuData, data_set: DataSet) -> float:
    """Bio-conservation of the latent of the cells whose label is known."""
    labels = mdata.obs[data_set.labels].astype(str).to_numpy()
    known = ~np.isin(labels, data_set.unknown)
    return bio_conservation(model.get_latent_representation()[known], labels[known])["bio"]


def reached(scored: Sequence[tuple[float, float]]) -> dict[str, float]:
    """Seconds to the first latent within 1% of the last, and to the one from which all were.

    Parameters
    ----------
    scored
        Seconds and score of each latent, in order.
    """
    seconds, scores = (np.array(values) for values in zip(*scored, strict=True))
    near = scores >= CLOSE * scores[-1]
    lasting = np.logical_and.accumulate(near[::-1])[::-1]
    return {"within": float(seconds[near.argmax()]), "lasting": float(seconds[lasting.argmax()])}
