"""`mmvae check`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmvae.pp import check

from ._data import setup_arguments
from ._files import read

if TYPE_CHECKING:
    from argparse import Namespace


def run(args: Namespace) -> None:
    """Print what would be taken of the data; raise all their faults."""
    data = read(args.input)
    check(data, **setup_arguments(args, data))
    print("No faults found.")
