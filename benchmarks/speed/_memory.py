"""Peak memory of each method; it imports little, as a process starts with its parent's peak as its own (Linux)."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from benchmarks.commands import run_alone

from ._budget import CutShortError
from ._jobs import Choice, Job, Measured
from ._methods import METHODS
from ._sets import methods_of

if TYPE_CHECKING:
    from collections.abc import Iterator


def jobs(choice: Choice) -> Iterator[Job]:
    """A run for each set and method; then the next round."""
    for number in choice.rounds:
        for name in choice.sets:
            for method in (title for title in methods_of(name, choice) if METHODS[title].is_default):
                yield Job("memory", name, method, 0, number, partial(in_own_process, choice, name, method, number))


def in_own_process(choice: Choice, name: str, method: str, seed: int) -> Measured:
    """What ``benchmarks.speed.memory`` finds.

    Raises
    ------
    CutShortError
        If the budget of the call did not last.
    RuntimeError
        If the process failed.
    """
    with TemporaryDirectory() as temporary:
        result = Path(temporary) / "found.json"
        given = [choice.folder.resolve(), name, method, choice.cells or 0, choice.device, choice.epochs, seed, result]
        try:
            done = run_alone("speed.memory", *given, seconds=choice.budget.left)
        except subprocess.TimeoutExpired as error:
            raise CutShortError(f"did not end within {error.timeout:.0f} s") from error
        if done.returncode:
            print(done.stderr, file=sys.stderr, flush=True)
            raise RuntimeError((done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1])
        return Measured(**json.loads(result.read_text()))
