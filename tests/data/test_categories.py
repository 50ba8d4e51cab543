"""One text for each value, whatever it is stored as."""

from __future__ import annotations

import datetime

import numpy as np
import pandas as pd
import pytest

from mmvae.data import text_of
from mmvae.data.setup._columns import categories, numbers

SAME = {
    "1": [1, 1.0, np.int8(1), np.float32(1), "1"],
    "0": [0, -0.0, np.uint8(0)],
    "0.1": [0.1, np.float32(0.1), "0.1"],
    "True": [True, np.True_, "True"],
    "2020-01-31": [
        datetime.date(2020, 1, 31),
        datetime.datetime(2020, 1, 31),
        pd.Timestamp("2020-01-31"),
        np.datetime64("2020-01-31T00:00:00.000000000"),
        "2020-01-31",
        "2020-01-31 00:00:00",
        "2020-01-31T00:00:00.000000000",
    ],
    "2020-01-31T12:30:00": [pd.Timestamp("2020-01-31 12:30"), "2020-01-31 12:30", "2020-01-31T12:30:00"],
    "2020-13-31 12:30": [],  # no date
    "1.0": [],  # a name
    "inf": [float("inf")],
}


@pytest.mark.parametrize("text", SAME)
def test_a_value_has_one_text(text):
    assert {text_of(value) for value in [text, *SAME[text]]} == {text}


VALUES = ["b", "a", "b", "c"]
COLUMNS = {
    "object": pd.Series(VALUES, dtype=object),
    "string": pd.Series(VALUES, dtype="string"),
    "category": pd.Series(VALUES, dtype="category"),
    "unused levels": pd.Series(pd.Categorical(VALUES, categories=["z", "a", "b", "y", "c"])),
    "categories of pandas' text": pd.Series(pd.Categorical(pd.array(VALUES, dtype="string"))),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_categories_are_objects_that_occur(name):
    found = categories(COLUMNS[name])
    assert found.tolist() == VALUES
    assert found.cat.categories.tolist() == ["a", "b", "c"]
    assert found.cat.categories.dtype == object
    assert categories(found).equals(found)


def test_order_is_that_of_the_categories_or_of_the_values():
    ordered = pd.Series(pd.Categorical(["low", "high"], categories=["low", "unused", "high"], ordered=True))
    assert categories(ordered).cat.categories.tolist() == ["low", "high"]
    assert categories(pd.Series([10, 9, 10])).cat.categories.tolist() == ["9", "10"]
    assert categories(pd.Series([10, "b", 9], dtype=object)).cat.categories.tolist() == ["10", "9", "b"]


@pytest.mark.parametrize(
    "values",
    [
        pd.Series([1.0, np.nan]),
        pd.Series([1, None], dtype="Int64"),
        pd.Series([1, None], dtype=object),
        pd.Series(pd.Categorical([1.0, None])),
        pd.Series(["1", pd.NA], dtype="string"),
    ],
    ids=["float", "Int64", "object", "category", "string"],
)
def test_missing_stays_missing(values):
    found = categories(values)
    assert found.isna().tolist() == [False, True]
    assert found[0] == "1"
    assert numbers(values).tolist()[0] == 1
    assert numbers(values).isna().tolist() == [False, True]


def test_numbers_of_everything_that_is_one():
    for values in ([True, False], pd.array([True, False], dtype="boolean"), pd.Categorical([1, 0]), ["1", "0.0"]):
        assert numbers(pd.Series(values)).tolist() == [1, 0]
    assert numbers(pd.to_datetime(pd.Series(["2020-01-31"]))).isna().all()
