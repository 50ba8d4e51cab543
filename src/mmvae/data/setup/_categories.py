"""Categories of cells: one text for each value, whatever type it is stored as."""

import re
from datetime import date

import numpy as np
import pandas as pd

DATE_AND_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?([+-]\d\d:?\d\d|Z)?")


def text_of(value: object) -> str:
    """The text of a value, whatever its type: 1.0 is ``"1"``, and a date its ISO form, without a time that is midnight."""
    if isinstance(value, str) and DATE_AND_TIME.fullmatch(value):
        try:
            return text_of(pd.Timestamp(value))
        except ValueError:  # such as a month 13
            return value
    if isinstance(value, date | np.datetime64):
        return pd.Timestamp(value).isoformat().removesuffix("T00:00:00")
    if isinstance(value, float | np.floating) and value.is_integer():
        return str(int(value))
    return str(value)


def categories(values: pd.Series) -> pd.Series:
    """The text of each value as a category, in the order of ``values`` or else sorted; those that no cell has are left out.

    They are stored as objects, which every version of anndata can write.
    """
    levels, codes = _levels(values)
    texts = [text_of(level) for level in levels]
    used = {texts[code] for code in np.unique(codes) if code >= 0}
    kept = [text for text in dict.fromkeys(texts) if text in used]
    # The last place is that of the code -1, a missing value.
    of_cells = np.array([*texts, None], dtype=object)[codes]
    return pd.Series(pd.Categorical(of_cells, categories=pd.Index(kept, dtype=object)), index=values.index)


def _levels(values: pd.Series) -> tuple[list, np.ndarray]:
    """Values that occur or may occur, in order, and each cell's number among them, -1 where it has none."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        return list(values.cat.categories), values.cat.codes.to_numpy()
    codes, found = pd.factorize(values)
    # A list of an index of floats would hold Python's, whose text is that of double precision.
    levels = list(found.to_numpy() if found.dtype.kind == "f" else found)
    try:
        order = sorted(range(len(levels)), key=levels.__getitem__)
    except TypeError:
        order = sorted(range(len(levels)), key=lambda i: text_of(levels[i]))
    return [levels[i] for i in order], np.append(np.argsort(order), -1).astype(int)[codes]


def numbers(values: pd.Series) -> pd.Series:
    """The values in double precision, NaN where they are missing or are no numbers."""
    if not pd.api.types.is_numeric_dtype(values.dtype):
        values = pd.to_numeric(values.astype(object), errors="coerce")
    return pd.Series(values.to_numpy(dtype=float, na_value=np.nan), index=values.index)
