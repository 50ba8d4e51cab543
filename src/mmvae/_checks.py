"""Numbers that a user passes: what an argument takes, and one message for all that are wrong."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import nextafter
from numbers import Integral, Real
from typing import Any


@dataclass(frozen=True)
class Number:
    """The finite numbers from ``low`` to ``high``, both included; whole ones alone if ``whole``."""

    words: str
    low: float
    high: float = sys.float_info.max
    whole: bool = False

    def __contains__(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, Integral if self.whole else Real):
            return False
        return self.low <= (int(value) if isinstance(value, Integral) else float(value)) <= self.high


NUMBER = Number("a number", -sys.float_info.max)
COUNT = Number("a whole number above 0", 1, whole=True)
COUNT_OR_ZERO = Number("a whole number of at least 0", 0, whole=True)
POSITIVE = Number("a number above 0", nextafter(0, 1))
NOT_NEGATIVE = Number("a number of at least 0", 0)
SHARE = Number("a share of at least 0, at most 1", 0, 1)
SHARE_ABOVE_0 = Number("a share above 0, at most 1", nextafter(0, 1), 1)
SHARE_INSIDE = Number("a share above 0, below 1", nextafter(0, 1), nextafter(1, 0))
SHARE_BELOW_1 = Number("a share of at least 0, below 1", 0, nextafter(1, 0))


def check_numbers(takes: Mapping[str, Number], others: Sequence[str] = (), /, **given: Any) -> None:
    """Refuse what is not the number that its argument takes, with a sentence for each fault in one ``ValueError``.

    ``takes`` says by argument what it takes, ``given`` holds a value or a mapping of values; ``None`` is left to the
    argument's default. ``others`` are sentences on other faults of the arguments.
    """
    faults = [*number_faults(takes, **given), *others]
    if faults:
        raise ValueError(" ".join(faults))


def number_faults(takes: Mapping[str, Number], /, **given: Any) -> list[str]:
    """The sentences of :func:`check_numbers`, for a message with more than these."""
    return [fault for name, value in given.items() for fault in _faults(name, value, takes[name])]


def _faults(name: str, value: Any, number: Number) -> list[str]:
    if isinstance(value, Mapping):
        return [fault for key, own in value.items() for fault in _faults(f"{name} of '{key}'", own, number)]
    if value is None or value in number:
        return []
    return [f"Expected {name} as {number.words}; got {value!r}."]


def check_integer(what: str, value: object, *, minimum: int) -> None:
    """Raise ``TypeError`` unless ``value`` is a whole number, ``ValueError`` unless it is at least ``minimum``."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        msg = f"Expected {what} to be an integer; got {value!r}. Pass a whole number."
        raise TypeError(msg)
    if value < minimum:
        msg = f"Expected {what} to be at least {minimum}; got {value}. Raise it."
        raise ValueError(msg)
