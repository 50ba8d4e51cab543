"""Leaving out what libraries say and a user of the command line cannot act on."""

from __future__ import annotations

import logging
import sys
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(__file__).parents[1]


@contextmanager
def quiet() -> Iterator[None]:
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
        print(f"Note: {message}", file=sys.stderr)
