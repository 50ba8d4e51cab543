"""Columns of `obs`, of every type that pandas has for categories and for numbers."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st

TEXTS = ["a", "b", "a b", "β", "10", "10.0", "True", "2024-01-31", "[red]", "x:y", ""]
# What makes a column of text, of categories, ... of codes.
CATEGORIES = {
    "text": lambda codes, texts: np.array(texts, dtype=object)[codes],
    "categories": lambda codes, texts: pd.Categorical.from_codes(codes, texts),
    "ordered": lambda codes, texts: pd.Categorical.from_codes(codes, texts, ordered=True),
    "unused": lambda codes, texts: pd.Categorical.from_codes(codes, [*texts, "unused"]),
    "categories of numbers": lambda codes, texts: pd.Categorical.from_codes(
        codes, [1.5, 2.0, 10.0, 3.25][: len(texts)]
    ),
    "string": lambda codes, texts: pd.array(np.array(texts, dtype=object)[codes], dtype="string"),
    "int": lambda codes, texts: codes * 7 - 3,
    "uint8": lambda codes, texts: codes.astype(np.uint8),
    "Int64": lambda codes, texts: pd.array(codes, dtype="Int64"),
    "whole floats": lambda codes, texts: codes.astype(float),
    "float32": lambda codes, texts: (codes / 10).astype(np.float32),
    "bool": lambda codes, texts: codes % 2 == 0,
    "boolean": lambda codes, texts: pd.array(codes % 2 == 0, dtype="boolean"),
    "datetime": lambda codes, texts: pd.to_datetime("2024-01-30") + pd.to_timedelta(codes, "D"),
    "dates": lambda codes, texts: np.array([date(2024, 1, 1 + code) for code in codes], dtype=object),
    "numbers and text": lambda codes, texts: np.array(
        [code if code % 2 else f"t{code}" for code in codes], dtype=object
    ),
}
NUMBERS = {
    "float64": lambda values: values,
    "float32": lambda values: values.astype(np.float32),
    "large": lambda values: 1e7 + 1e5 * values,
    "small": lambda values: 1e-9 * values,
    "int": lambda values: (10 * values).astype(int),
    "Int64": lambda values: pd.array((10 * values).astype(int), dtype="Int64"),
    "Float64": lambda values: pd.array(values, dtype="Float64"),
    "bool": lambda values: values > 1,
    "boolean": lambda values: pd.array(values > 1, dtype="boolean"),
    "constant": lambda values: np.full(len(values), 3.7),
    "objects": lambda values: values.astype(object),
    "text": lambda values: np.array([f"{value:.3f}" for value in values], dtype=object),
}


@st.composite
def categories(draw: st.DrawFn, n: int, most: int = 4) -> tuple[Any, str]:
    """A column of at most so many categories, and what it is, in words."""
    texts = draw(st.lists(st.sampled_from(TEXTS), min_size=1, max_size=min(most, max(2, n // 2)), unique=True))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(sorted(CATEGORIES)))
    return CATEGORIES[kind](rng.integers(len(texts), size=n), texts), kind


@st.composite
def labels(draw: st.DrawFn, n: int) -> tuple[Any, str]:
    """A column of labels, which some cells may lack, and what it is, in words."""
    values, kind = draw(categories(n))
    if kind in ("text", "dates", "numbers and text", "string") and draw(st.booleans()):
        values[1::3] = pd.NA if kind == "string" else None
        kind += ", not of all cells"
    return values, kind


@st.composite
def numbers(draw: st.DrawFn, n: int, *, positive: bool = False) -> tuple[Any, str]:
    """A column of numbers, and what it is, in words."""
    values = np.random.default_rng(draw(st.integers(0, 2**32 - 1))).gamma(2.0, 1.0, n) + 0.2
    kind = draw(st.sampled_from(sorted(set(NUMBERS) - ({"bool", "boolean", "small"} if positive else set()))))
    return NUMBERS[kind](values), kind
