"""What an arm of the ladder is trained on, and the held-out cells that it is scored on.

C cells, M modalities.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import inputs
from benchmarks.data import DATA_SETS

if TYPE_CHECKING:
    from pathlib import Path

    from mudata import MuData

SIMULATION = "sim"
SIMULATED = ("rna", "atac")
N_TRAIN, N_HELD = 2_500, 1_000
PAIRED = 0.5
HELD_OUT = 0.2


@dataclass
class Split:
    """Training cells, held-out cells with all that was measured of them, and the latter through one modality each.

    ``whole`` holds both kinds of cells as they were before training cells lost modalities; ``held_rows`` marks the
    held-out ones in it, boolean, ``(C,)``. ``truth`` is by the name in ``obsm`` of the simulation, a row for each
    held-out cell, and empty for real data. ``n_batches`` is what the decoders see.
    """

    train: MuData
    held: MuData
    alone: dict[str, MuData]
    whole: MuData
    held_rows: np.ndarray
    labels: str
    batch: str | None
    unknown: tuple[str, ...]
    truth: dict[str, np.ndarray]

    def labels_of(self, mdata: MuData) -> np.ndarray:
        """Label of each cell, as text."""
        return mdata.obs[self.labels].astype(str).to_numpy()


def split(data: str, folder: Path | None, seed: int) -> Split:
    """The split ``seed`` of a data set: a fifth of the real cells, or 1,000 of 3,500 simulated ones, are held out.

    Of the simulated training cells half are complete and a quarter each has one modality; real ones are as they are.
    """
    return _simulated(seed) if data == SIMULATION else _real(data, folder, seed)


def _simulated(seed: int) -> Split:
    from mmvae.datasets import simulate

    mdata = simulate(N_TRAIN + N_HELD, modalities=SIMULATED, keep_rates=True, seed=seed)
    rng = np.random.default_rng(seed)
    held = np.zeros(mdata.n_obs, dtype=bool)
    held[rng.permutation(mdata.n_obs)[:N_HELD]] = True
    # 0 and 1: the modality that is lost; more: none.
    lost = np.where(rng.random(mdata.n_obs) < PAIRED, len(SIMULATED), rng.integers(len(SIMULATED), size=mdata.n_obs))
    kept = {name: ~held & (lost != m) for m, name in enumerate(SIMULATED)}
    parts = _parts(mdata, held, kept)
    assert np.array_equal(parts["held"].obs_names, mdata.obs_names[held])  # rows of the truth are theirs
    truth = {name: np.asarray(value)[held] for name, value in mdata.obsm.items() if name not in mdata.mod}
    return Split(**parts, labels="cluster", batch="batch", unknown=(), truth=truth)


def _real(data: str, folder: Path | None, seed: int) -> Split:
    assert folder is not None
    data_set = DATA_SETS[data]
    mdata = data_set.read(folder)
    held = np.random.default_rng(seed).random(mdata.n_obs) < HELD_OUT
    parts = _parts(mdata, held, dict.fromkeys(mdata.mod, ~held))
    return Split(**parts, labels=data_set.labels, batch=data_set.batch, unknown=data_set.unknown, truth={})


def _parts(mdata: MuData, held: np.ndarray, kept: dict[str, np.ndarray]) -> dict[str, Any]:
    return {
        "train": inputs.selected(mdata, kept),
        "held": inputs.selected(mdata, dict.fromkeys(mdata.mod, held)),
        "alone": {name: inputs.selected(mdata, {name: held}) for name in mdata.mod},
        "whole": mdata,
        "held_rows": held,
    }
