"""What numbers were taken on: the processor, its threads, versions; and how much memory this process has held."""

from __future__ import annotations

import platform
import resource
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .training import limit_threads

if TYPE_CHECKING:
    from collections.abc import Iterable

PROCESSORS = Path("/proc/cpuinfo")
BYTES_IN_MB = 1e6


def machine(packages: Iterable[str]) -> dict[str, Any]:
    """The processor, its threads, and versions of Python and of the packages."""
    import torch

    limit_threads()
    return {"processor": processor(), "threads": torch.get_num_threads(), "versions": versions(packages)}


def versions(packages: Iterable[str]) -> str:
    """Versions of Python and of the packages that the numbers hang on."""
    found = [f"{package} {version(package)}" for package in packages]
    return ", ".join([f"python {sys.version_info.major}.{sys.version_info.minor}", *found])


def processor(described: Path = PROCESSORS) -> str:
    """The processor by its name, as far as the system tells."""
    lines = described.read_text().splitlines() if described.exists() else []
    found = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return found[0] if found else platform.processor() or platform.machine()


def peak_memory() -> float:
    """Most memory this process has held, in MB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / BYTES_IN_MB
