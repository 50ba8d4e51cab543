"""Silence about what does not apply to this model."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

MESSAGES = (
    # Worker processes make loading slower for data in memory.
    ".*does not have many workers.*",
    # Lightning guesses the size of a batch from the first tensor; the plan tells it where it matters.
    "Trying to infer the `batch_size`",
    # It does no harm where there is no BatchNorm.
    "Last batch will have a small size",
    # Of CSR tensors nothing is asked but to become dense, and scipy's are valid.
    "Sparse CSR tensor support is in beta",
    "Sparse invariant checks are implicitly disabled",
    # The latents that scvi-tools' tuner reads are not meant to be logged.
    "Extra tracked metrics",
    # PyTorch says once that it makes the CUDA context which the backward pass lacks.
    "Attempting to run cuBLAS, but there was no current CUDA context",
)


@contextmanager
def quiet() -> Iterator[None]:
    """Silence warnings that do not apply."""
    with warnings.catch_warnings():
        for message in MESSAGES:
            warnings.filterwarnings("ignore", message=message)
        yield
