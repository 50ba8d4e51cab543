"""What surrounds a training: random numbers, warnings, and the model as it was before."""

import copy
import random
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from threading import RLock
from typing import Any

import numpy as np
import torch

from ._divergence import weights_of

GENERATORS = RLock()
AMPERE = (8, 0)  # the first cards with TF32
MESSAGES = (
    ".*does not have many workers.*",  # which make loading slower for data in memory
    "Trying to infer the `batch_size`",  # from the first tensor; the plan tells Lightning where it matters
    "Your `IterableDataset` has `__len__`",  # which counts right, as one process reads
    "Last batch will have a small size",  # which does no harm where there is no BatchNorm
    # Of CSR tensors nothing is asked but to become dense, and scipy's are valid.
    "Sparse CSR tensor support is in beta",
    "Sparse invariant checks are implicitly disabled",
    "The given NumPy array is not writable",  # and is copied to a card
    "Extra tracked metrics",  # the latents that scvi-tools' tuner reads are not meant to be logged
    "`var_names` for the loaded `model`",  # other features are an error, and to lack a modality is no fault
    "This instance was constructed with capturable=True",  # for steps that are captured a few later
    "`torch.jit.script` is",  # what torch's own derivatives along directions still use
    # PyTorch says once that it makes the CUDA context which the backward pass lacks.
    "Attempting to run cuBLAS, but there was no current CUDA context",
)


@contextmanager
def seeded(seed: int | None, *, alone: bool = True) -> Iterator[None]:
    """All random generators start from ``seed``; they are put back afterwards, so that a user's own do not feel it.

    They are the process's: only one thread at a time is in here, but for those that are not ``alone``.
    """
    with GENERATORS if alone else nullcontext(), _seeded(seed):
        yield


@contextmanager
def _seeded(seed: int | None) -> Iterator[None]:
    states = random_states()
    if seed is not None:
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
    try:
        yield
    finally:
        set_random_states(states)


def random_states() -> dict[str, Any]:
    """Where all random generators are, as tensors, numbers, texts and lists."""
    name, keys, *rest = tuple[Any, ...](np.random.get_state())
    return {
        "python": random.getstate(),
        "numpy": [name, keys.tolist(), *rest],
        "torch": torch.get_rng_state(),
        "devices": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_random_states(states: Mapping[str, Any]) -> None:
    """Put all random generators where they were; those of devices, if they are as many."""
    random.setstate(states["python"])
    np.random.set_state(tuple(states["numpy"]))
    torch.set_rng_state(states["torch"])
    if states["devices"] and len(states["devices"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(states["devices"])


@contextmanager
def tensor_cores(wanted: bool, accelerator: Any) -> Iterator[None]:
    """Where a card trains that has TF32, its products of matrices are in it; what the user chose is put back afterwards."""
    has = wanted and accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    if not has or torch.cuda.get_device_capability() < AMPERE or torch.get_float32_matmul_precision() != "highest":
        yield
        return
    torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision("highest")


@contextmanager
def quiet() -> Iterator[None]:
    """Silence warnings that do not apply to this model."""
    with warnings.catch_warnings():
        for message in MESSAGES:
            warnings.filterwarnings("ignore", message=message)
        yield


class Snapshot:
    """Attributes and weights of a model; ``model`` has them as attributes and its network as ``module``."""

    def __init__(self, model: Any) -> None:
        # Histories are extended in place.
        self.attributes = {n: copy.copy(v) if isinstance(v, dict) else v for n, v in vars(model).items()}
        first = next(model.module.parameters())
        self.device, self.dtype = first.device, first.dtype
        self.weights = weights_of(model.module)

    @property
    def history(self) -> dict[str, Any]:
        """By metric, a row for each epoch of earlier trainings."""
        return (self.attributes["history_"] or {}) if self.attributes["is_trained_"] else {}

    def since(self, history: dict[str, Any] | None) -> dict[str, Any]:
        """What ``history``, which continues the model's, has of epochs since."""
        return {name: rows.iloc[len(self.history.get(name, ())) :] for name, rows in (history or {}).items()}

    def restore(self, model: Any) -> None:
        """Make ``model`` what it was."""
        vars(model).clear()
        vars(model).update(self.attributes)
        self.load(model.module, self.weights)
        model.module.to(self.device)

    def load(self, module: Any, weights: dict[str, Any]) -> None:
        """Give ``module`` weights, in the precision of before, for reading."""
        module.to(self.dtype)
        module.load_state_dict(weights)
        module.eval()
