"""Numbers and names that a user passes: what an argument takes, and one message for all that are wrong."""

import sys
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from math import nextafter
from numbers import Integral, Real
from types import NoneType
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
# What every generator takes: numpy's and scikit-learn's hold 32 bits.
SEED = Number("a whole number of at least 0 and below 2**32", 0, 2**32 - 1, whole=True)
SHARE = Number("a share of at least 0, at most 1", 0, 1)
SHARE_ABOVE_0 = Number("a share above 0, at most 1", nextafter(0, 1), 1)
SHARE_INSIDE = Number("a share above 0, below 1", nextafter(0, 1), nextafter(1, 0))
SHARE_BELOW_1 = Number("a share of at least 0, below 1", 0, nextafter(1, 0))


def between(low: int, high: float = sys.float_info.max) -> Number:
    """Whole numbers of at least ``low`` and at most ``high``."""
    most = f", at most {high}" if high < sys.float_info.max else ""
    return Number(f"a whole number of at least {low}{most}", low, high, whole=True)


def check_numbers(takes: Mapping[str, Number], others: Sequence[str] = (), /, **given: Any) -> None:
    """Refuse what is not the number that its argument takes, with a sentence for each fault in one ``ValueError``.

    ``takes`` says by argument what it takes, ``given`` holds a value or a mapping of values; ``None`` is left to the
    argument's default. ``others`` are sentences on other faults of the arguments.
    """
    if faults := [*number_faults(takes, **given), *others]:
        raise ValueError(" ".join(faults))


def number_faults(takes: Mapping[str, Number], /, **given: Any) -> list[str]:
    """A sentence for each that is not the number that its argument takes; arguments are those of :func:`check_numbers`."""
    return [fault for name, value in given.items() for fault in _faults(name, value, takes[name])]


def _faults(name: str, value: Any, number: Number) -> list[str]:
    if isinstance(value, Mapping):
        return [fault for key, own in value.items() for fault in _faults(f"{name} of '{key}'", own, number)]
    if value is None or value in number:
        return []
    return [f"Expected {name} as {number.words}; got {value!r}."]


def name_faults(known: Mapping[str, Collection[Any]], /, **given: Any) -> list[str]:
    """Names that an argument does not take, a sentence each; ``known`` are those it does. ``None`` is left to the default."""
    return [
        f"Expected {argument} as one of {list(known[argument])}; got {name!r}.{near(name, known[argument])}"
        for argument, name in given.items()
        if name is not None and not (isinstance(name, Hashable) and name in known[argument])
    ]


def near(name: object, known: Iterable[object], n: int = 1) -> str:
    """A question whether one of the known names was meant, after a blank; nothing where none is like it."""
    found = get_close_matches(str(name), [str(one) for one in known], n=n)
    return f" Did you mean {' or '.join(repr(one) for one in dict.fromkeys(found))}?" if found else ""


def listed(argument: str, names: Any) -> list[Any]:
    """One name or several as a list; a ``TypeError`` for what is neither."""
    if isinstance(names, str):
        return [names]
    if not isinstance(names, Iterable) or isinstance(names, Mapping):
        msg = f"Expected {argument} as a name or a list of names; got {names!r}."
        raise TypeError(msg)
    return list(names)


def check_texts(**given: Any) -> None:
    """Raise a ``TypeError`` unless each is one name; ``None`` is left to the argument's default."""
    if faults := [f"Expected {a} as a name; got {v!r}." for a, v in given.items() if not isinstance(v, str | NoneType)]:
        raise TypeError(" ".join(faults))


def check_is(argument: str, value: object, *kinds: type, advice: str = "") -> None:
    """Raise a ``TypeError`` unless ``value`` is of one of the kinds; ``advice`` is what to do."""
    if not isinstance(value, kinds):
        named = " or ".join(kind.__name__ for kind in kinds)
        msg = f"Expected {argument} to be a {named}; got {type(value).__name__}.{advice and f' {advice}'}"
        raise TypeError(msg)
