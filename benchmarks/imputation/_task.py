"""What is predicted, of which cells, and what a method gives back.

C held-out cells, G features of the target.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import scipy.sparse as sp

from benchmarks import inputs
from benchmarks.data import DATA_SETS, DataSet

if TYPE_CHECKING:
    from pathlib import Path

    from mudata import MuData

SOURCE, HELD_OUT = "rna", 0.2
TARGETS = {
    "cite600": "protein",
    "teaseq": "protein",
    "pbmc10k": "protein",
    "multiome500": "atac",
    "snareseq": "atac",
    "simulated": "atac",
}
SIMULATED, N_SIMULATED = "simulated", 1_500


class Counts(NamedTuple):
    """Counts of the target, ``(C, G)``, of cells of these rows of the data."""

    values: sp.csr_matrix
    rows: np.ndarray

    @property
    def totals(self) -> np.ndarray:
        """Of each cell, at least 1, ``(C, 1)``."""
        return np.maximum(np.asarray(self.values.sum(axis=1), dtype=np.float64), 1.0)


@dataclass
class Task:
    """Cells that all have the source, of which the ``held`` ones, boolean, lack the target.

    ``mdata`` is what a method is given, ``whole`` has the target of the held-out cells, too, in the same order of cells.
    ``rates`` are the true shares of simulated ones, ``(cells, G)``. Models are kept in the folder ``kept``.
    """

    mdata: MuData
    whole: MuData
    held: np.ndarray
    target: str
    data_set: DataSet
    seed: int
    budget: float | None = None
    kept: Path | None = None
    rates: np.ndarray | None = None

    def counts(self, chosen: np.ndarray) -> Counts:
        """The target of the cells that are marked."""
        own = inputs.rows(self.whole, self.target)[chosen]
        return Counts(sp.csr_matrix(self.whole[self.target].X, dtype=np.float32)[own], np.flatnonzero(chosen))

    @property
    def depth(self) -> float:
        """The median total of the target in the other cells, to which values are brought before they are logged."""
        return float(np.median(self.counts(~self.held).totals))

    def logged(self, counts: Counts) -> np.ndarray:
        """Log-normalised values, ``(C, G)``."""
        return np.log1p(counts.values.toarray() * np.float32(self.depth) / counts.totals.astype(np.float32))


@dataclass
class Prediction:
    """Of the held-out cells, log-normalised values and shares of a cell's total, ``(C, G)``; scores of its own, a note."""

    logged: np.ndarray
    shares: np.ndarray
    scores: dict[str, float] = field(default_factory=dict)
    note: str = ""


def task(data: str, folder: Path, seed: int) -> Task:
    """A fifth of the cells, at random, lack the target."""
    data_set, whole = _read(data, folder, seed)
    target = TARGETS[data]
    held = np.random.default_rng(seed).random(whole.n_obs) < HELD_OUT
    mdata = inputs.selected(whole, {SOURCE: np.ones(whole.n_obs, dtype=bool), target: ~held})
    order = whole.obs_names.get_indexer(mdata.obs_names)
    rates = whole.obsm[f"rate_{target}"][order] if data == SIMULATED else None
    whole = inputs.selected(whole, dict.fromkeys((SOURCE, target), np.ones(whole.n_obs, dtype=bool)))
    assert (whole.obs_names[order] == mdata.obs_names).all()
    return Task(mdata, whole[order].copy(), held[order], target, data_set, seed, rates=rates)


def _read(data: str, folder: Path, seed: int) -> tuple[DataSet, MuData]:
    if data != SIMULATED:
        return DATA_SETS[data], DATA_SETS[data].read(folder)
    from mmvae.datasets import simulate

    modalities = {SOURCE: 300, TARGETS[data]: 400}
    simulated = simulate(N_SIMULATED, modalities=modalities, n_batches=1, keep_rates=True, seed=seed)
    return DataSet("", "cluster"), simulated
