"""Entry point: which command to run, and what its failure means to the shell."""

from __future__ import annotations

import sys
import traceback
from importlib import import_module
from typing import TYPE_CHECKING

from mmvae._errors import TERMINATED, SetupError

from ._errors import InputError
from ._parser import make_parser
from ._quiet import quiet

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence

FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command of ``mmvae``.

    Parameters
    ----------
    argv
        Arguments; by default those of the process.

    Returns
    -------
    0 if all went well, 1 if the command failed, 2 if the user gave something that cannot be used, 130 if interrupted, 143
    if asked to end while training.
    """
    args = make_parser().parse_args(argv)
    try:
        with quiet():
            # The commands import torch and scvi-tools, which take seconds.
            import_module(args.module, __package__).run(args)
    except (InputError, SetupError) as error:
        return _report(args, str(error), BAD_INPUT)
    except KeyboardInterrupt:
        return _report(args, "Interrupted.", INTERRUPTED)
    except SystemExit as error:
        if error.code != TERMINATED:
            raise
        return _report(args, "Terminated.", TERMINATED)
    except Exception as error:  # noqa: BLE001 - whatever it is, the user gets a sentence and the shell a code
        hint = "" if args.debug else "\nRun again with --debug for the traceback."
        return _report(args, f"{type(error).__name__}: {error}{hint}", FAILED)
    return 0


def _report(args: Namespace, message: str, code: int) -> int:
    if args.debug:
        traceback.print_exc()
    print(f"mmvae {args.command}: {message}", file=sys.stderr)
    return code
