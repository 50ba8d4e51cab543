"""Types of options: what `argparse` calls to read one, and to refuse it."""

from __future__ import annotations

from argparse import ArgumentTypeError

FEWEST_CELLS = 100
SEEDS = 2**32


def named(text: str) -> tuple[str, str]:
    """Name and value of ``NAME=VALUE``."""
    name, _, value = text.partition("=")
    if not name or not value:
        msg = f"Expected MODALITY=VALUE; got '{text}'."
        raise ArgumentTypeError(msg)
    return name, value


def positive(text: str) -> int:
    """A whole number above 0."""
    return _whole(text, 1)


def cell_number(text: str) -> int:
    """A number of cells that can be split, trained on and scored."""
    return _whole(text, FEWEST_CELLS)


def seed(text: str) -> int:
    """A seed that every random generator takes."""
    value = _whole(text, 0)
    if value >= SEEDS:
        msg = f"Expected a seed below {SEEDS}; got {value}."
        raise ArgumentTypeError(msg)
    return value


def _whole(text: str, minimum: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = None
    if value is None or value < minimum:
        msg = f"Expected a whole number of at least {minimum}; got '{text}'."
        raise ArgumentTypeError(msg)
    return value
