"""The table: a row for each run and metric, with the machine that it was taken on."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import pandas as pd

from benchmarks import table
from benchmarks.machine import processor
from benchmarks.training import limit_threads

from ._jobs import CUDA, Job, Measured
from ._methods import METHODS
from ._sets import SETS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

RUN = ["part", "device", "data", "n_cells", "n_features", "method", "batch_size", "round"]
KEY = [*RUN, "metric"]
MACHINE = ["processor", "threads", "versions"]
COLUMNS = [*KEY, "value", *MACHINE]
PACKAGES = ("scvi-tools", "torch")
PARTS = ("equal", "default", "memory", "growth")
ORDER: Sequence[str] = [*PARTS, *SETS, *METHODS]


def read(path: Path) -> pd.DataFrame:
    """The table, empty if there is none yet."""
    return table.read(path, COLUMNS)


def write(path: Path, rows: pd.DataFrame) -> None:
    """Put the rows in place of earlier ones of the same runs and metrics."""
    table.update(path, rows, ORDER, KEY, COLUMNS)


def rows_of(job: Job, found: Measured, device: str) -> pd.DataFrame:
    """A row for each metric of a run."""
    size = [found.n_cells, found.n_features]
    run = [job.part, device, job.data, *size, job.method, job.batch_size, job.round]
    own = machine(device)
    rows = [[*run, metric, value, *(own[name] for name in MACHINE)] for metric, value in found.values.items()]
    return pd.DataFrame(rows, columns=COLUMNS)


def machine(device: str) -> dict[str, Any]:
    """The card, or the processor and its threads, and versions."""
    import torch

    limit_threads()
    name = torch.cuda.get_device_name() if device == CUDA else processor()
    versions = ", ".join(f"{package} {version(package)}" for package in PACKAGES)
    return {"processor": name, "threads": torch.get_num_threads(), "versions": versions}
