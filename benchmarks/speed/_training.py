"""A model of a method, and its training on a device."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

from benchmarks.training import limit_threads

from ._jobs import CUDA, Measured
from ._methods import METHODS

if TYPE_CHECKING:
    from mudata import MuData

BYTES_IN_MB = 1e6
# What both sides train on; the rest validates.
TRAIN_SIZE = 0.9


def model_of(method: str, mdata: MuData, seed: int, batch: str | None = None, *, equal: bool) -> Any:
    """A new model, of the sizes at which methods are compared or of its own."""
    chosen = METHODS[method]
    model = chosen.make(mdata, batch, seed, chosen.sizes if equal else {})
    limit_threads()
    return model


def train_options(method: str, device: str, **options: Any) -> dict[str, Any]:
    """Arguments of ``train``, of which ``options`` are some."""
    always = {"accelerator": "gpu" if device == CUDA else "cpu", "enable_progress_bar": False}
    return always | dict(METHODS[method].options) | options


def measured(mdata: MuData, values: dict[str, float]) -> Measured:
    """Values with the size of the data that they are of."""
    return Measured(mdata.n_obs, sum(adata.n_vars for adata in mdata.mod.values()), values)


def clear_card(device: str) -> None:
    """Give back what earlier models held, and forget the peak."""
    gc.collect()
    if device == CUDA:
        import torch

        torch.cuda.init()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def card_peak(device: str) -> dict[str, float]:
    """Most memory that tensors have held on the card, in MB; nothing to say of a CPU."""
    if device != CUDA:
        return {}
    import torch

    return {"card_mb": torch.cuda.max_memory_allocated() / BYTES_IN_MB}
