"""Between what a modality that cells do not show lies. C cells, G features, S draws."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from mmvae._checks import SHARE_INSIDE, check_numbers
from mmvae.analysis import between
from mmvae.data import CHUNK, new_matrices

from ._calibration import Calibration, calibration
from ._decoding import Request
from ._draws import Draws, Hidden, block, drawn

N_DRAWS = 100
# Probabilities are taken for no smaller, nor for nearer to 1.
LEAST = 1e-7
# From an end of an interval, the mean, and how many times further apart they are to be.
Widened: TypeAlias = Callable[[np.ndarray, np.ndarray, float], np.ndarray]


class Imputation(NamedTuple):
    """Frames of cells by features: expected values, the ends of their interval, and of that of what would be measured."""

    mean: pd.DataFrame
    lower: pd.DataFrame
    upper: pd.DataFrame
    lower_count: pd.DataFrame
    upper_count: pd.DataFrame


def draws_for(interval: float | None, n_samples: int | None) -> int:
    """Draws to take, by default 1, or 100 for an interval; refused where they are too few for it."""
    check_numbers({"interval": SHARE_INSIDE}, interval=interval)
    if interval is None:
        return 1 if n_samples is None else n_samples
    least = ceil(2 / (1 - interval) - 1 - 1e-6)
    if n_samples is None:
        return max(N_DRAWS, least)
    if isinstance(n_samples, int) and n_samples < least:
        msg = f"Expected n_samples of at least {least} for interval={interval:g}; got {n_samples}. Leave it out."
        raise ValueError(msg)
    return n_samples


def intervals(
    hidden: Hidden, request: Request, interval: float, batch_size: int | None, *, silent: bool
) -> Iterator[tuple[np.ndarray, ...]]:
    """Of each minibatch the values of an :class:`Imputation`, each ``(n_cells, n_columns)``."""
    known = calibration(hidden.reader, request.modality)
    widened = WIDENED[hidden.reader.module.likelihoods[request.modality].values]
    for _, seen in hidden.minibatches(min(block(request), batch_size or block(request)), silent=silent):
        yield _ends(drawn(hidden.reader, seen, request, known.depth.totals), known, interval, widened)


def _ends(draws: Draws, known: Calibration, interval: float, widened: Widened) -> tuple[np.ndarray, ...]:
    tails = (1 - interval) / 2, (1 + interval) / 2
    mean = draws.rates.mean(axis=-1)
    for values in (draws.rates, draws.counts):
        values.sort(axis=-1)
    rates = (widened(end, mean, known.rate_spread) for end in between(draws.rates, *tails))
    return mean, *rates, *between(draws.counts, *(known.counts.at(draws.mean, tail) for tail in tails))


def _in_logs(end: np.ndarray, mean: np.ndarray, factor: float) -> np.ndarray:
    """An end of an interval so many times further from the mean, as logarithms."""
    return np.asarray(mean * np.divide(end, mean, out=np.ones_like(end), where=mean > 0) ** factor)


def _in_log_odds(end: np.ndarray, mean: np.ndarray, factor: float) -> np.ndarray:
    """An end of an interval of probabilities so many times further from the mean, as log odds."""
    log_odds = [logit(p.clip(LEAST, 1 - LEAST)) for p in (end, mean)]
    return np.asarray(expit(_in_units(log_odds[0], log_odds[1], factor)))


def _in_units(end: np.ndarray, mean: np.ndarray, factor: float) -> np.ndarray:
    """An end of an interval so many times further from the mean."""
    return mean + factor * (end - mean)


WIDENED: dict[str, Widened] = {
    "counts": _in_logs,
    "nonnegative": _in_logs,
    "binary": _in_log_odds,
    "real": _in_units,
}


def gathered_intervals(
    blocks: Iterable[tuple[np.ndarray, ...]], cells: pd.Index, request: Request, path: Path | None
) -> Any:
    """Blocks of cells as frames, or in a file at ``path``, of which X is the mean and the others are layers."""
    features, (_, *layers) = request.features[request.modality], Imputation._fields
    shape = len(cells), len(features)
    with new_matrices(path, cells, features, layers) if path else _in_memory(shape) as matrices:
        start = 0
        for found in _together(blocks, CHUNK[0]):
            stop = start + len(found[0])
            for matrix, values in zip(matrices, found, strict=True):
                matrix[start:stop] = values
            start = stop
    return path if path else Imputation(*(pd.DataFrame(m, cells, features, copy=False) for m in matrices))


def _in_memory(shape: tuple[int, int]) -> AbstractContextManager[list[Any]]:
    return nullcontext([np.empty(shape, np.float32) for _ in Imputation._fields])


def _together(blocks: Iterable[tuple[np.ndarray, ...]], n_cells: int) -> Iterator[list[np.ndarray]]:
    """Blocks put together to at least so many cells, so that no piece of a file is written many times."""
    waiting: list[tuple[np.ndarray, ...]] = []
    for block_ in blocks:
        waiting.append(block_)
        if sum(len(first) for first, *_ in waiting) >= n_cells:
            yield [np.concatenate(parts) for parts in zip(*waiting, strict=True)]
            waiting = []
    if waiting:
        yield [np.concatenate(parts) for parts in zip(*waiting, strict=True)]
