"""Checks of numbers that users pass."""

from math import isfinite
from numbers import Integral, Real
from typing import TypeGuard

import numpy as np


def is_number(value: object) -> TypeGuard[float]:
    """Whether ``value`` is a finite real number and not a boolean."""
    return isinstance(value, Real) and not isinstance(value, bool | np.bool_) and isfinite(value)


def check_integer(what: str, value: object, *, minimum: int) -> None:
    """Raise ``TypeError`` unless ``value`` is a whole number, ``ValueError`` unless it is at least ``minimum``."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        msg = f"Expected {what} to be an integer; got {value!r}. Pass a whole number."
        raise TypeError(msg)
    if value < minimum:
        msg = f"Expected {what} to be at least {minimum}; got {value}. Raise it."
        raise ValueError(msg)
