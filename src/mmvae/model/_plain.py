"""Values as PyTorch reads them without running code: numbers, text, tensors, lists and dictionaries."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor, as_tensor

Form = list[Any]
Place = list[Any]
PLAIN = (bool, int, float, str, type(None))
TABLE = ("index", "name", "columns", "values")


def plain(value: Any, what: str) -> tuple[Any, list[tuple[Place, Form]]]:
    """``value`` of plain types, and where in it what was of other types; a ``TypeError`` names what has no plain form.

    Tensors stay tensors. Numpy's arrays of numbers become tensors, others and tuples lists, and tables of pandas
    dictionaries; :func:`restored` makes them what they were. ``what`` is the name of ``value`` in the error.
    """
    forms: list[tuple[Place, Form]] = []
    return _plain(value, [], forms, what), forms


def restored(value: Any, forms: list[tuple[Place, Form]]) -> Any:
    """What :func:`plain` was given, built inside its value."""
    whole = {"": value}
    for place, (kind, *details) in forms:
        *parents, last = ["", *place]
        inside: Any = whole
        for key in parents:
            inside = inside[key]
        inside[last] = BUILDERS[kind](inside[last], *details)
    return whole[""]


def _plain(value: Any, place: Place, forms: list[tuple[Place, Form]], what: str) -> Any:
    def inner(parts: Mapping[Any, Any]) -> dict[Any, Any]:
        keys = [_scalar(key) for key in parts]
        return {key: _plain(own, [*place, key], forms, what) for key, own in zip(keys, parts.values(), strict=True)}

    if isinstance(value, np.ndarray):
        kept, form = _of_array(value)
        kept = kept if isinstance(kept, Tensor) else list(inner(dict(enumerate(kept))).values())
    elif isinstance(value, pd.DataFrame):
        columns = [value.iloc[:, number].to_numpy() for number in range(value.shape[1])]
        parts: tuple[Any, ...] = value.index.to_numpy(), value.index.name, list(value.columns), columns
        kept, form = inner(dict(zip(TABLE, parts, strict=True))), ["table"]
    elif isinstance(value, tuple | list):
        kept = list(inner(dict(enumerate(value))).values())
        form = ["tuple"] if isinstance(value, tuple) else []
    elif isinstance(value, Mapping):
        kept, form = inner(value), []
    elif isinstance(value, Tensor):
        kept, form = value.detach().cpu(), []
    else:
        kept, form = _scalar(value), []
        if type(kept) not in PLAIN:
            where = "".join(f"[{key!r}]" for key in place)
            msg = (
                f"Expected {what}{where} as numbers, text, arrays, tensors, tables, or lists and dictionaries of them; "
                f"got {type(value).__name__}, which no file can hold without code. Attributes are saved whose names end in '_'."
            )
            raise TypeError(msg)
    if form:
        forms.append((place, form))
    return kept


def _scalar(value: Any) -> Any:
    """A number or text of numpy, or of a class of its own, as Python's; all else as it is."""
    value = value.item() if isinstance(value, np.generic) else value
    kind = next((kind for kind in PLAIN if isinstance(value, kind)), None)
    return value if kind in (None, bool, type(None)) else kind(value)


def _of_array(array: np.ndarray) -> tuple[Any, Form]:
    form = ["array", array.dtype.str, list(array.shape)]
    if array.dtype.kind in "biufc":
        return as_tensor(np.array(array, array.dtype.newbyteorder("="), order="C")), form
    if array.dtype.kind in "mM":
        return as_tensor(array.astype(np.int64)), form
    return array.ravel().tolist(), form


def _array(kept: Any, dtype: str, shape: list[int]) -> np.ndarray:
    if isinstance(kept, Tensor):
        return kept.numpy().astype(np.dtype(dtype))
    array = np.empty(len(kept), np.dtype(dtype))
    array[:] = kept
    return array.reshape(shape)


def _table(parts: Mapping[str, Any]) -> pd.DataFrame:
    index, name, columns, values = (parts[part] for part in TABLE)
    frame = pd.DataFrame(dict(enumerate(values)), index=pd.Index(index, name=name))
    return frame.set_axis(columns, axis=1)


BUILDERS: dict[str, Callable[..., Any]] = {"array": _array, "table": _table, "tuple": tuple}
