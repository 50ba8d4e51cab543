"""How fast mmvae and its peers are, how much memory they need, and how both grow with the data.

``python -m benchmarks.speed --data FOLDER`` measures the parts below, updates ``docs/_static/speed.csv`` after each run and
writes ``docs/_evidence/speed.md``. Run it on a machine that does nothing else.

- ``memory``: peak memory of set-up, training and latent, each method in a process of its own.
- ``epochs``: an epoch at equal features, widths, layers and batch size, from its first minibatch to its last; methods take
  turns in one process. On a card with its memory and the share of the time that it is busy, and with steps captured as a
  CUDA graph beside those that are not.
- ``latent``: ``get_latent_representation`` of all cells after such a training, or after one epoch if ``epochs`` is not chosen.
- ``growth``: an epoch of mmvae on growing numbers of simulated cells, and of peaks, with sampled peaks and without.
- ``default``: ``train`` with the defaults of each method to its own end, and to within 1% of what its latent then keeps.

``--gpu`` measures what eight minutes of a card allow: ``epochs`` and ``latent`` of 100,000 cells at batch sizes of 256 and
1,024, an epoch of a million simulated cells, and what is left of the rounds. Options beside it go before what it chooses:
``--gpu --sets snareseq,teaseq --rounds 1,2`` adds rounds in another call.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

# Nothing that only the runs need: see `_memory`.
from benchmarks.commands import listed, parser
from benchmarks.data import data_folder
from benchmarks.paths import EVIDENCE, STATIC

from . import _page, _rows
from ._budget import Budget, CutShortError
from ._jobs import CPU, CUDA, Choice, Job
from ._sets import LARGE, SETS

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

PARTS = {"memory": "_memory", "epochs": "_equal", "latent": "_equal", "growth": "_growth", "default": "_default"}
DEFAULT_SETS = [name for name in SETS if name not in LARGE]
PEERS = ("multivi", "totalvi")
BATCH_SIZES = {CPU: [128], CUDA: [256, 1024]}
EPOCHS = {CPU: 4, CUDA: 2}
GPU = {
    "device": CUDA,
    "parts": ["epochs", "latent"],
    "sets": ["snareseq", "teaseq", *LARGE],
    # Seconds; the rest is for imports, and for a run that takes longer than expected.
    "budget": 450.0,
}


class LeftOut(NamedTuple):
    """A run that was not measured, and why; a failure is more than a lack of time."""

    line: str
    failed: bool


def main() -> None:
    """Run what was asked for and fits, then write the page; the exit status is 1 if a run failed."""
    arguments = _arguments()
    left_out = [] if arguments.page_only else _run_all(_choice(arguments), arguments.out)
    arguments.page.write_text(_page.page(_rows.read(arguments.out)))
    if left_out:
        print("Not measured:", *(run.line for run in left_out), sep="\n", flush=True)
    sys.exit(any(run.failed for run in left_out))


def _run_all(choice: Choice, out: Path) -> list[LeftOut]:
    """Measure; what was left out."""
    return [left for job in _jobs(choice) if (left := _run(job, choice, out))]


def _jobs(choice: Choice) -> Iterator[Job]:
    for module in dict.fromkeys(PARTS[part] for part in PARTS if part in choice.parts):
        yield from import_module(f"{__package__}.{module}").jobs(choice)


def _run(job: Job, choice: Choice, out: Path) -> LeftOut | None:
    """Measure, and write the rows; if there are none, why."""
    if not choice.budget.fits(job.kind, job.least):
        return LeftOut(f"{job}: no time left", failed=False)
    try:
        with choice.budget.timing(job.kind):
            found = job.measure()
    except (RuntimeError, ValueError) as error:  # where a card is too small, what follows may still be had
        return LeftOut(f"{job}: {error}", failed=not isinstance(error, CutShortError))
    _rows.write(out, _rows.rows_of(job, found, choice.device))
    print(f"{job}: {', '.join(f'{name} {value:.4g}' for name, value in found.values.items())}", flush=True)
    return None


def _choice(arguments: argparse.Namespace) -> Choice:
    import torch

    if arguments.device == CUDA and not torch.cuda.is_available():
        sys.exit("Expected a card; torch found none. Measure with --device cpu, or install torch for the card.")
    # As many in this process, whatever is imported, as in those that it starts.
    os.environ.setdefault("OMP_NUM_THREADS", str(torch.get_num_threads()))
    return Choice(
        folder=arguments.data or data_folder(),
        parts=arguments.parts,
        sets=arguments.sets,
        peers=arguments.peers,
        rounds=arguments.rounds,
        cells=arguments.cells,
        device=arguments.device,
        batch_sizes=arguments.batch_sizes or BATCH_SIZES[arguments.device],
        epochs=arguments.epochs or EPOCHS[arguments.device],
        growing_cells=arguments.growing_cells,
        growing_peaks=arguments.growing_peaks,
        budget=Budget(arguments.budget),
    )


def _arguments() -> argparse.Namespace:
    made = parser("speed", __doc__, STATIC / "speed.csv")
    add = made.add_argument
    add("--parts", type=listed(known=PARTS), default=list(PARTS), help=f"of {', '.join(PARTS)}")
    add("--sets", type=listed(known=SETS), default=DEFAULT_SETS, help=f"of {', '.join(SETS)}")
    add("--peers", type=listed(known=PEERS), default=list(PEERS), help=f"of {', '.join(PEERS)}, beside mmvae")
    add("--rounds", type=listed(int), default=[0, 1, 2], help="numbers of the rounds, the seeds of their models")
    add("--cells", type=int, help="of each set, at the most; on a card real ones are repeated up to it")
    add("--device", choices=(CPU, CUDA), default=CPU)
    add("--batch-sizes", type=listed(int), help="where settings are equal; by default 128, on a card 256 and 1,024")
    add("--epochs", type=int, help="of each training but the default one; the first of several is not counted")
    add("--growing-cells", type=listed(int), default=Choice.growing_cells, help="sizes of `growth`")
    add("--growing-peaks", type=listed(int), default=Choice.growing_peaks, help="sizes of `growth`")
    add("--budget", type=float, help="seconds; a run that would not end in them is not started, but named at the end")
    add("--gpu", action="store_true", help="what eight minutes of a card allow")
    add("--page", type=Path, default=EVIDENCE / "speed.md", help="Markdown file to write")
    add("--page-only", action="store_true", help="measure nothing; write the page from the table")
    if made.parse_known_args()[0].gpu:
        made.set_defaults(**GPU)
    return made.parse_args()


if __name__ == "__main__":
    main()
