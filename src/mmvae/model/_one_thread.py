"""While a thread trains a model, no other one reads or trains it."""

from collections.abc import Callable
from functools import wraps
from threading import get_ident
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

R = TypeVar("R")
TRAINED_BY: WeakKeyDictionary[Any, int] = WeakKeyDictionary()


def check_no_other_trains(model: object) -> None:
    """Raise a ``RuntimeError`` if another thread trains the model."""
    if TRAINED_BY.get(model, get_ident()) != get_ident():
        msg = (
            "Expected a model that no other thread trains; got one whose training goes on. Wait for its end, or load a "
            "model that was saved before."
        )
        raise RuntimeError(msg)


def alone(train: Callable[..., R]) -> Callable[..., R]:
    """A method during which no other thread may read or train its model."""

    @wraps(train)
    def guarded(model: Any, *args: Any, **kwargs: Any) -> R:
        check_no_other_trains(model)
        TRAINED_BY[model] = get_ident()
        try:
            return train(model, *args, **kwargs)
        finally:
            del TRAINED_BY[model]

    return guarded
