"""While a thread trains a model, no other one reads, saves or trains it."""

from collections.abc import Callable
from functools import wraps
from threading import get_ident
from typing import Any, Concatenate, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

P = ParamSpec("P")
R = TypeVar("R")
M = TypeVar("M")
TRAINED_BY: WeakKeyDictionary[Any, int] = WeakKeyDictionary()


def check_no_other_trains(model: object) -> None:
    """Raise a ``RuntimeError`` if another thread trains the model."""
    _refuse_others(TRAINED_BY.get(model, get_ident()))


def _refuse_others(thread: int) -> None:
    if thread != get_ident():
        msg = (
            "Expected a model that no other thread trains; got one whose training goes on. Wait for its end, or load a "
            "model that was saved before."
        )
        raise RuntimeError(msg)


def alone(train: Callable[Concatenate[M, P], R]) -> Callable[Concatenate[M, P], R]:
    """A method during which no other thread may read, save or train its model."""

    @wraps(train)
    def guarded(model: M, *args: P.args, **kwargs: P.kwargs) -> R:
        _refuse_others(TRAINED_BY.setdefault(model, get_ident()))  # in one step, as two may begin at once
        try:
            return train(model, *args, **kwargs)
        finally:
            del TRAINED_BY[model]

    return guarded
