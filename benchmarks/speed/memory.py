"""Peak memory of set-up, training and latent, in a process of its own.

``python -m benchmarks.speed.memory FOLDER DATA METHOD CELLS DEVICE EPOCHS SEED RESULT`` writes JSON to RESULT. CELLS is 0
for all. The method has its own defaults but for the number of epochs, as memory does not hang on it.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import psutil
from lightning.pytorch.callbacks import Callback

from benchmarks.machine import peak_memory
from benchmarks.peers.run import size_of

from ._jobs import CUDA
from ._sets import SETS, Real, load_for
from ._training import BYTES_IN_MB, card_peak, measured, model_of, train_options


class HeldAtEpochs(Callback):
    """What the process holds in memory after each epoch, in MB."""

    def __init__(self) -> None:
        self.held: list[float] = []

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Take it."""
        self.held.append(held())


def main(folder: str, data: str, method: str, cells: str, device: str, epochs: str, seed: str, result: str) -> None:
    """Measure, and write what was found."""
    for name in ("scvi.model", "mmvae.model"):  # imports are no part of what is measured
        import_module(name)
    source = SETS[data]
    mdata = load_for(method, data, Path(folder), int(cells) or None, again=device == CUDA)
    batch = source.data_set.batch if isinstance(source, Real) else None
    data_mb, before = size_of(mdata), held()
    model = model_of(method, mdata, int(seed), batch, equal=False)
    at_epochs = HeldAtEpochs()
    model.train(max_epochs=int(epochs), **train_options(method, device, callbacks=[at_epochs]))
    model.get_latent_representation()
    values = {
        "data_mb": data_mb,
        "host_mb": max(peak_memory(), before) - before,
        **growth(at_epochs.held),
        **card_peak(device),
    }
    Path(result).write_text(json.dumps(measured(mdata, values)._asdict()))


def held() -> float:
    """What the process holds in memory, in MB."""
    return psutil.Process().memory_info().rss / BYTES_IN_MB


def growth(at_epochs: list[float]) -> dict[str, float]:
    """MB by which memory grew from the second epoch to the last; of fewer than three epochs there is nothing to say."""
    return {"growth_mb": at_epochs[-1] - at_epochs[1]} if len(at_epochs) > 2 else {}


if __name__ == "__main__":
    main(*sys.argv[1:])
