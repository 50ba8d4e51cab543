"""What is not to change in data when a call fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from mudata import MuData


def snapshot(mdata: MuData) -> dict:
    return {
        "obs": mdata.obs.copy(),
        "obsm": sorted(mdata.obsm),
        "uns": sorted(mdata.uns),
        "order": list(mdata.mod),
        "own obs": {n: a.obs.copy() for n, a in mdata.mod.items()},
        "own uns": {n: sorted(a.uns) for n, a in mdata.mod.items()},
        "rows": {n: list(a.obs_names) for n, a in mdata.mod.items()},
        "x": {
            n: None if a.X is None else (np.asarray(a.X.sum()) if a.X.dtype != object else np.zeros(1))
            for n, a in mdata.mod.items()
        },
    }


def assert_same(before: dict, after: dict) -> None:
    pd.testing.assert_frame_equal(before["obs"], after["obs"])
    for name, obs in before["own obs"].items():
        pd.testing.assert_frame_equal(obs, after["own obs"][name])
    for key in ("obsm", "uns", "order", "own uns", "rows"):
        assert before[key] == after[key]
    for name, total in before["x"].items():
        assert total is after["x"][name] is None or np.array_equal(total, after["x"][name], equal_nan=True)
