"""What the commands have in common: their options, and processes for single runs."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

ONE_THREAD = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def parser(name: str, description: str | None, table: Path | None) -> argparse.ArgumentParser:
    """The parser of ``python -m benchmarks.<name>``, with the options ``--data`` and ``--out``."""
    made = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=description)
    made.add_argument(
        "--data", type=Path, help="folder of the data sets; by default the environment variable MMVAE_DATA"
    )
    made.add_argument("--out", type=Path, default=table, help="table to update")
    return made


def listed(kind: Callable[[str], Any] = str, known: Collection[Any] | None = None) -> Callable[[str], list[Any]]:
    """Type of an option that is several values, separated by commas, all of them ``known`` ones if these are given."""

    def values(text: str) -> list[Any]:
        chosen = [kind(part) for part in text.split(",")]
        if known is not None and (unknown := [value for value in chosen if value not in known]):
            msg = f"expected some of {list(known)}; got {unknown}"
            raise argparse.ArgumentTypeError(msg)
        return chosen

    return values


def run_alone(module: str, *given: object, seconds: float | None = None) -> subprocess.CompletedProcess[str]:
    """Run ``python -m benchmarks.<module>`` in a process of its own, for ``seconds`` at the most.

    On one thread unless the environment says otherwise: two that share a core with other work are slower than one.
    """
    command = [sys.executable, "-W", "ignore", "-m", f"benchmarks.{module}", *map(str, given)]
    environment = ONE_THREAD | os.environ
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=seconds)
