"""An epoch and the latent at equal features, widths, layers and batch size; methods take turns, in one process."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from ._clock import CardUse, EpochTimes, now
from ._jobs import CPU, CUDA, Choice, Job, Measured
from ._methods import METHODS
from ._sets import LARGE, SETS, Real, load_for, methods_of
from ._training import TRAIN_SIZE, card_peak, clear_card, measured, model_of, train_options

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mudata import MuData

EPOCHS, LATENT = "epochs", "latent"
CELLS = {CPU: 3_000, CUDA: 100_000}
# On a card the epochs of some methods are too short to see much in one: so many seconds of them, or so many times the epochs.
ENOUGH, MOST = 10.0, 4


def jobs(choice: Choice) -> Iterator[Job]:
    """A run for each set, batch size and method, what is no default last; then the next round."""
    small = [name for name in choice.sets if name not in LARGE]
    large = [name for name in choice.sets if name in LARGE]
    for number in choice.rounds:
        for by_default in (True, False):
            yield from _turn(choice, small, choice.batch_sizes, number, by_default=by_default)
            if by_default and number == choice.rounds[0]:
                yield from _turn(choice, large, choice.batch_sizes[:1], number, by_default=True)


def _turn(
    choice: Choice, names: list[str], batch_sizes: Sequence[int], number: int, *, by_default: bool
) -> Iterator[Job]:
    for name, batch_size in product(names, batch_sizes):
        for method in (title for title in methods_of(name, choice) if METHODS[title].is_default == by_default):
            measure = partial(_measure, choice, name, method, batch_size, number)
            yield Job("equal", name, method, batch_size, number, measure, least=LARGE.get(name, 0.0))


def _measure(choice: Choice, name: str, method: str, batch_size: int, number: int) -> Measured:
    wanted = choice.cells or (CELLS[choice.device] if isinstance(SETS[name], Real) else None)
    mdata = load_for(method, name, choice.folder, wanted, again=choice.device == CUDA)
    clear_card(choice.device)
    model = model_of(method, mdata, number, equal=True)
    if EPOCHS in choice.parts:
        epochs = min(choice.epochs, 2) if name in LARGE else choice.epochs
        times = EpochTimes(epochs, ENOUGH if choice.device == CUDA and name not in LARGE else 0.0)
        values = train(model, method, choice.device, batch_size, times)
    else:  # the latent asks for no more than a trained model
        train(model, method, choice.device, batch_size, EpochTimes(1))
        values = {}
    return measured(mdata, values | (latent(model) if LATENT in choice.parts else {}))


def train(model: Any, method: str, device: str, batch_size: int, times: EpochTimes) -> dict[str, float]:
    """Train; seconds of an epoch, the median of those that count, and on a card the memory and the share of time it is busy."""
    options = {"batch_size": batch_size, "train_size": TRAIN_SIZE, "early_stopping": False, "callbacks": [times]}
    longest = times.epochs * (MOST if times.enough else 1)
    with ExitStack() as stack:
        use = stack.enter_context(CardUse()) if device == CUDA else None
        model.train(max_epochs=longest, **train_options(method, device, **options))
    values = {"epoch": float(np.median(times.seconds()))} | card_peak(device)
    return values if use is None else values | {"busy": use.within(times.counted())}


def latent(model: Any) -> dict[str, float]:
    """Seconds of ``get_latent_representation`` of all cells, with its defaults."""
    started = now()
    model.get_latent_representation()
    return {"latent": now() - started}


def epoch_of(mdata: MuData, method: str, choice: Choice, batch_size: int, number: int) -> Measured:
    """An epoch of a new model of these data."""
    clear_card(choice.device)
    model = model_of(method, mdata, number, equal=True)
    return measured(mdata, train(model, method, choice.device, batch_size, EpochTimes(choice.epochs)))
