"""All that is the user's in a MuData, to the bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from mudata import MuData

OURS = ("_scvi_", "_mmvae_")


def contents(mdata: MuData, *, with_ours: bool = False) -> dict[str, Any]:
    """By place, what is there; what a set-up adds is left out unless ``with_ours``."""
    found: dict[str, Any] = {"modalities": list(mdata.mod), "cells": list(mdata.obs_names)}
    for where, data in {"": mdata, **{f"{name} ": adata for name, adata in mdata.mod.items()}}.items():
        for part in ("obs", "var", "obsm", "obsp", "uns", "obsmap", "layers"):
            values = getattr(data, part, None)
            for key, value in {} if values is None else values.items():
                if with_ours or not str(key).startswith(OURS):
                    found[f"{where}{part} {key}"] = _frozen(value)
        if data is not mdata:
            found[f"{where}X"] = _frozen(data.X)
            found[f"{where}names"] = [*data.obs_names, *data.var_names]
    return found


def _frozen(value: Any) -> Any:
    """A value that is equal to another where that is the same, type and storage included."""
    if sp.issparse(value):
        parts = ("data", "indices", "indptr") if value.format in ("csr", "csc") else ("data", "row", "col")
        return type(value).__name__, value.shape, *(_frozen(getattr(value, part)) for part in parts)
    if isinstance(value, np.ndarray):
        # Objects by their text: the place in memory of each says nothing.
        return str(value.dtype), value.shape, list(map(repr, value)) if value.dtype == object else value.tobytes()
    if isinstance(value, pd.Series):
        kind = value.dtype
        levels = (list(kind.categories), kind.ordered) if isinstance(kind, pd.CategoricalDtype) else str(kind)
        return levels, list(map(repr, value.array))
    if isinstance(value, pd.DataFrame):
        return {key: _frozen(own) for key, own in value.items()}
    return repr(value)
