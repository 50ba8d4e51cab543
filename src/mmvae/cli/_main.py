"""Entry point: which command to run, what is shown of warnings, and what a failure means to the shell."""

import logging
import signal
import sys
import threading
import traceback
import warnings
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any

from mmvae._errors import TERMINATED, SetupError
from mmvae._printing import printable

from ._parser import InputError, make_parser
from ._words import in_words

FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130
LINE = "\n"
PACKAGE = Path(__file__).parents[1]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command of ``mmvae``, by default with the arguments of the process.

    Returns 0 if all went well, 1 if the command failed, 2 if the user gave something that cannot be used, 130 if
    interrupted, 143 if asked to end.
    """
    args = make_parser().parse_args(argv)
    try:
        with _ended_by_exit(), _quiet():
            # The commands import torch and scvi-tools, which take seconds.
            import_module(args.module, __package__).run(args)
    except (InputError, SetupError) as error:
        return _report(args, str(error), BAD_INPUT)
    except KeyboardInterrupt as error:
        return _report(args, _in_lines("Interrupted.", error, _advice(args, error)), INTERRUPTED)
    except SystemExit as error:
        if error.code != TERMINATED:
            raise
        return _report(args, _in_lines("Terminated.", error, _advice(args, error)), TERMINATED)
    except Exception as error:  # noqa: BLE001 - whatever it is, the user gets a sentence and the shell a code
        hint = "" if args.debug else "Run again with --debug for the traceback."
        return _report(args, _in_lines(in_words(error), error, hint), FAILED)
    return 0


def _in_lines(what: str, error: BaseException, advice: str) -> str:
    """What happened, what notes say of where it did, and what to do."""
    return LINE.join(filter(None, (what, *_notes(error), advice)))


def _notes(error: BaseException) -> list[str]:
    return getattr(error, "__notes__", [])


def _advice(args: Namespace, error: BaseException) -> str:
    """How a training that was stopped goes on."""
    if getattr(args, "checkpoint", None) is not None:
        return "The same command with --resume goes on."
    if args.command == "fit" and _notes(error):
        return "Nothing of it was saved: with --checkpoint DIR --resume the command can be run again and goes on."
    return ""


def _report(args: Namespace, message: str, code: int) -> int:
    if args.debug:
        traceback.print_exc()
    print(f"mmvae {args.command}: {printable(message, keep=LINE)}", file=sys.stderr)
    return code


@contextmanager
def _ended_by_exit() -> Iterator[None]:
    """Have SIGTERM raise an exception, so that what is half-written goes before the process does."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(TERMINATED)

    if threading.current_thread() is not threading.main_thread():  # no other may say what a signal does
        yield
        return
    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _quiet() -> Iterator[None]:
    """Show mmvae's own warnings as notes, and neither those of libraries nor their information."""
    before = logging.root.manager.disable
    logging.disable(logging.INFO)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning = _note
            yield
    finally:
        logging.disable(before)


def _note(message: Warning | str, category: type[Warning], filename: str, *_: Any, **__: Any) -> None:
    # Libraries add filters of their own when they are imported: what is ours is decided here, by where it comes from.
    if category is UserWarning and Path(filename).is_relative_to(PACKAGE):
        print(f"Note: {printable(message, keep=LINE)}", file=sys.stderr)
