"""What a method is asked: the data as they are, or mosaics made of complete cells.

C cells, M modalities.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from . import inputs

if TYPE_CHECKING:
    from mudata import MuData

    from .data import DataSet

HELD_OUT = 0.2
SHARES = {"mosaic30": 0.3, "mosaic60": 0.6}
COMPLETE, SKEWED = "complete", "skewed"
TASKS = (COMPLETE, *SHARES, "batch")


@dataclass
class Problem:
    """The cells to embed, and held-out cells to be seen through one modality at a time.

    Parameters
    ----------
    mdata
        What the method is given.
    data_set
        Where the labels and batches are.
    seed
        Of the method, and of the mosaic.
    budget
        Minutes that training may take.
    held
        For each modality the held-out cells with that modality alone, all in the same order; empty if none are held.
    """

    mdata: MuData
    data_set: DataSet
    seed: int
    budget: float | None = None
    held: dict[str, MuData] = field(default_factory=dict)


class NotApplicableError(Exception):
    """The method can't take these data, or the data can't make this task."""


def problem(mdata: MuData, data_set: DataSet, task: str, seed: int) -> Problem:
    """The task ``task`` on these data.

    Raises
    ------
    NotApplicableError
        If a mosaic should be made of data that already are one, or of batches that are not there.
    """
    if task == COMPLETE:
        return Problem(mdata, data_set, seed)
    if task == SKEWED:
        return Problem(_skewed(mdata, data_set, seed), data_set, seed)
    if inputs.is_mosaic(mdata):
        msg = "already a mosaic"
        raise NotApplicableError(msg)
    rng = np.random.default_rng(seed)
    held = rng.random(mdata.n_obs) < HELD_OUT
    lost = _lost_by_batch(mdata, data_set, seed) if task == "batch" else _lost_by_cell(mdata, SHARES[task], rng)
    names = list(mdata.mod)
    single = {name: inputs.selected(mdata, {name: held}) for name in names}
    rest = inputs.selected(mdata, {name: ~held & ~lost[:, m] for m, name in enumerate(names)})
    return Problem(rest, data_set, seed, held=single)


def _lost_by_cell(mdata: MuData, share: float, rng: np.random.Generator) -> np.ndarray:
    """A share of the cells, at random, loses one modality each, at random, ``(C, M)``."""
    lost = np.zeros((mdata.n_obs, mdata.n_mod), dtype=bool)
    losers = np.flatnonzero(rng.random(mdata.n_obs) < share)
    lost[losers, rng.integers(mdata.n_mod, size=len(losers))] = True
    return lost


def _skewed(mdata: MuData, data_set: DataSet, seed: int) -> MuData:
    """Cells of which two types of three, drawn at random, are left in one batch alone, each batch that has them in turn."""
    if data_set.batch is None:
        msg = "no batches"
        raise NotApplicableError(msg)
    label, batch = (mdata.obs[name].astype(str).to_numpy() for name in (data_set.labels, data_set.batch))
    names, kept = np.random.default_rng(seed).permutation(np.unique(label)), np.ones(mdata.n_obs, dtype=bool)
    for number, name in enumerate(names[: 2 * len(names) // 3]):
        having = np.unique(batch[label == name])
        kept &= (label != name) | (batch == having[number % len(having)])
    return inputs.selected(mdata, dict.fromkeys(mdata.mod, kept))


def _lost_by_batch(mdata: MuData, data_set: DataSet, seed: int) -> np.ndarray:
    """One batch loses one modality: with growing seed each modality of the first batch, then of the next."""
    if data_set.batch is None:
        msg = "no batches"
        raise NotApplicableError(msg)
    batch = mdata.obs[data_set.batch].astype(str).to_numpy()
    names = np.unique(batch)
    lost = np.zeros((mdata.n_obs, mdata.n_mod), dtype=bool)
    lost[batch == names[seed // mdata.n_mod % len(names)], seed % mdata.n_mod] = True
    return lost
