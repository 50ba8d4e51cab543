"""What a model holds goes through a file of plain values and comes back."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from mmvae.model._plain import plain, restored

VALUES = {
    "numbers": np.arange(6.0).reshape(2, 3),
    "big-endian": np.array([1, 2], ">i4"),
    "truth": np.array([True, False]),
    "a single one": np.array(3.0),
    "half": np.array([1, 2], np.float16),
    "none": np.array([], object),
    "text": np.array([["a", "bc"]]),
    "objects": np.array(["x", None, 1.5, True, float("nan")], object),
    "dates": np.array(["2020-01-01"], "M8[D]"),
    "a list inside an array": np.array([[1, 2], "x"], object),
    "tensor": torch.tensor([1.0, np.nan]),
    "tuple": (1, (np.array([1, 2]), "s")),
    "history": pd.DataFrame({"kl": [1.0, 2.0]}, index=pd.RangeIndex(2, name="epoch")),
    "history of objects": pd.DataFrame({"kl_weight": np.array([0.5], object)}, index=pd.Index([3], name="epoch")),
    "nothing": pd.DataFrame({"a": [], "b": []}),
    "inside": {"a": [{"b": np.array([1])}], 3: None},
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_values_come_back_as_they_were(value, tmp_path):
    torch.save(plain({"kept": value}, "it"), tmp_path / "f.pt")
    again = restored(*torch.load(tmp_path / "f.pt", weights_only=True))["kept"]
    assert type(again) is type(value)
    if isinstance(value, pd.DataFrame):
        pd.testing.assert_frame_equal(again, value, check_index_type=False)
    elif isinstance(value, np.ndarray):
        assert (again.dtype, again.shape) == (value.dtype, value.shape)
        assert repr(again.tolist()) == repr(value.tolist())
    else:
        assert repr(again) == repr(value)


def test_numbers_of_numpy_become_those_of_python():
    value = plain({np.int64(3): np.float32(0.5), "t": np.str_("x"), "b": np.bool_(True)}, "it")[0]
    assert value == {3: 0.5, "t": "x", "b": True}
    assert [type(v) for v in value.values()] == [float, str, bool]


@pytest.mark.parametrize(
    ("value", "place"), [({1}, "it"), ({"a": [0, pd.NA]}, r"it\['a'\]\[1\]"), ([print], r"it\[0\]")]
)
def test_what_has_no_plain_form_is_named(value, place):
    with pytest.raises(TypeError, match=f"Expected {place} as numbers.*no file can hold without code"):
        plain(value, "it")
