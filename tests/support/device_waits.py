"""Counts operations, and those for which a graphics card makes the processor wait."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

WAITING = (
    "aten._local_scalar_dense",
    "aten.nonzero",
    "aten.is_nonzero",
    "aten.unique",
    "aten._unique",
    "aten.masked_select",
    "aten.equal",
)
# Waits where it must ask how many there will be.
REPEATING = "aten.repeat_interleave.Tensor"
INDEXING = ("aten.index.Tensor", "aten.index_put", "aten._unsafe_index", "aten._index_put")


class DeviceWaits(TorchDispatchMode):
    """In this context operations are counted in ``n_operations``, and those that wait are named in ``waits``."""

    def __init__(self) -> None:
        super().__init__()
        self.n_operations = 0
        self.waits: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.n_operations += 1
        if is_waiting(func, args, kwargs or {}):
            self.waits.append(str(func))
        return func(*args, **(kwargs or {}))


def is_waiting(func: Any, args: Any, kwargs: Any) -> bool:
    """Whether an operation waits for the device."""
    name = str(func)
    if name.startswith(REPEATING):
        return kwargs.get("output_size") is None
    return name.startswith(WAITING) or (name.startswith(INDEXING) and _by_mask(args[1]))


def _by_mask(indices: Any) -> bool:
    return any(isinstance(index, torch.Tensor) and index.dtype == torch.bool for index in indices)
