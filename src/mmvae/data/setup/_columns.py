"""Finding per-cell annotations: in `mdata.obs` first, then in the modalities."""

import difflib
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData

from mmvae._keys import RESOLVED_PREFIX
from mmvae.data._access import modalities_of, rows_of

from ._arguments import SetupArguments
from ._categories import categories, numbers, text_of
from ._scale import Scale

NUMBERS = ("continuous", "size_factor")
# Single precision ends at 3.4e38, and no measurement comes near either.
LARGEST = 1e30
EXAMPLES = 3
Role = Literal["batch", "labels", "categorical", "continuous", "prior_covariate", "size_factor"]


@dataclass(frozen=True)
class Column:
    """One per-cell annotation that the model uses.

    ``values`` are numbers, or categories of text. ``detail`` names the modality of a size factor.
    """

    role: Role
    key: str
    values: pd.Series
    detail: str = ""

    @property
    def name(self) -> str:
        """Column of ``obs`` that scvi-tools reads: one of ours, since the user's own may be of any type."""
        return f"{RESOLVED_PREFIX}{self.role}_{self.key}"

    @property
    def scale(self) -> Scale:
        """Mean and standard deviation of numbers."""
        return Scale.of(self.values)


def resolve_columns(
    data: AnnData | MuData, arguments: SetupArguments, *, is_query: bool = False
) -> tuple[list[Column], list[str]]:
    """Find every column that ``arguments`` name; return them and the faults found on the way.

    A query need not have the column of labels: none of its cells is then labelled. Nor size factors of what it lacks.
    """
    wanted: list[tuple[Role, tuple[str, ...], str]] = []
    if arguments.batch_key:
        wanted.append(("batch", arguments.batch_key, ""))
    if arguments.labels_key is not None:
        wanted.append(("labels", (arguments.labels_key,), ""))
    wanted += [("categorical", (key,), "") for key in arguments.categorical_covariate_keys]
    wanted += [("continuous", (key,), "") for key in arguments.continuous_covariate_keys]
    wanted += [("prior_covariate", (key,), "") for key in arguments.prior_covariate_keys]
    wanted += [
        ("size_factor", (key,), name)
        for name, key in (arguments.size_factor_keys or {}).items()
        if not is_query or isinstance(data, AnnData) or name in data.mod
    ]
    columns, faults = [], []
    for role, keys, detail in wanted:
        found = [find_column(data, key) for key in keys]
        if role == "labels":
            found = [_labels(data, found[0], arguments.unlabeled_category, is_query)]
        faults += [f for f in found if isinstance(f, str)]
        series = [f for f in found if isinstance(f, pd.Series)]
        if len(series) == len(keys):
            columns.append(_column(role, keys, series, detail))
            faults += _column_faults(data, columns[-1], series)
    return columns, faults


def find_column(data: AnnData | MuData, key: str) -> pd.Series | str:
    """Values of ``key`` for every cell, or a sentence that says where it was looked for."""
    if key in data.obs:
        return data.obs[key]
    if isinstance(data, AnnData):
        return _not_found(key, {"adata.obs": list(data.obs)})
    modalities = modalities_of(data)
    if ":" in key:
        name, _, own = key.partition(":")
        modalities, key = {n: a for n, a in modalities.items() if n == name}, own
    having = {name: adata for name, adata in modalities.items() if key in adata.obs}
    if not having:
        places = {"mdata.obs": list(data.obs)} | {f"mdata['{n}'].obs": list(a.obs) for n, a in modalities.items()}
        return _not_found(key, places)
    return _gather(data, key, having)


def _gather(data: MuData, key: str, having: dict[str, AnnData]) -> pd.Series | str:
    gathered = pd.Series(pd.NA, index=data.obs_names, dtype=object)
    for name, adata in having.items():
        if not adata.obs_names.is_unique:
            return f"key '{key}': mdata['{name}'].obs_names are not unique. Make them unique."
        own = adata.obs[key].astype(object).reindex(data.obs_names)
        clash = gathered.notna() & own.notna() & _differ(gathered, own)
        if clash.any():
            return (
                f"key '{key}' differs between modalities for {int(clash.sum())} cells, such as "
                f"'{clash.index[int(clash.argmax())]}'. Put one column in mdata.obs, or name one as '{name}:{key}'."
            )
        gathered = gathered.where(gathered.notna(), own)
    return gathered


def _differ(one: pd.Series, other: pd.Series) -> pd.Series:
    """Where two columns of objects hold different values; missing ones count as the same."""
    unequal = (one != other).fillna(False).astype(bool)
    return unequal & (one[unequal].map(text_of) != other[unequal].map(text_of)).reindex(one.index, fill_value=False)


def _labels(data: AnnData | MuData, found: pd.Series | str, unlabelled: str, is_query: bool) -> pd.Series | str:
    """Labels as text, with ``unlabelled`` where a cell has none."""
    if isinstance(found, str):
        return pd.Series(unlabelled, index=data.obs_names, dtype=object) if is_query else found
    texts = categories(found).astype(object)
    return texts.where(texts.notna(), text_of(unlabelled))


def _not_found(key: str, places: dict[str, list[str]]) -> str:
    near = difflib.get_close_matches(key, [c for columns in places.values() for c in columns], n=2)
    hint = f" Did you mean {' or '.join(repr(n) for n in dict.fromkeys(near))}?" if near else ""
    return f"key '{key}' not found; looked in {', '.join(places)}.{hint}"


def _column(role: Role, keys: tuple[str, ...], series: list[pd.Series], detail: str) -> Column:
    key = "+".join(keys)
    if role in NUMBERS:
        return Column(role, key, numbers(series[0]), detail)
    texts = [categories(s) for s in series]
    if len(texts) == 1:
        return Column(role, key, texts[0])
    joined = texts[0].astype(str)
    for other in texts[1:]:
        joined = joined + " | " + other.astype(str)
    return Column(role, key, categories(joined.mask(_missing(series))))


def _missing(series: list[pd.Series]) -> np.ndarray:
    """Cells for which a column has no value."""
    return np.logical_or.reduce([s.isna().to_numpy() for s in series])


def _column_faults(data: AnnData | MuData, column: Column, series: list[pd.Series]) -> list[str]:
    faults = []
    needed = _needed(data, column)
    if (missing := _missing(series) & needed).any():
        cells = ", ".join(map(repr, data.obs_names[missing][:EXAMPLES].tolist()))
        faults.append(
            f"key '{column.key}' ({column.role}) has no value for {int(missing.sum())} of {data.n_obs} cells, such as "
            f"{cells}. Fill them in, or leave those cells out."
        )
    if column.role in NUMBERS:
        faults += _number_faults(column, series[0], needed)
    elif column.role != "labels" and column.values.nunique() > max(2, data.n_obs // 2):
        faults.append(
            f"key '{column.key}' ({column.role}) has {column.values.nunique()} categories for {data.n_obs} cells. "
            "Give a column that groups cells; numbers belong in continuous_covariate_keys."
        )
    return faults


def _needed(data: AnnData | MuData, column: Column) -> np.ndarray:
    """Which cells need a value: all, or for a size factor those that have its modality."""
    if column.role == "size_factor":
        return rows_of(data, column.detail) >= 0
    return np.ones(data.n_obs, dtype=bool)


def _number_faults(column: Column, given: pd.Series, needed: np.ndarray) -> list[str]:
    known = given.notna().to_numpy() & needed
    values = column.values.to_numpy()
    if (bad := known & ~np.isfinite(values)).any():
        example = text_of(given[bad].iloc[0])
        return [f"key '{column.key}' ({column.role}) holds '{example}', not a finite number. Convert the column."]
    if (huge := known & (np.abs(values) > LARGEST)).any():
        return [
            f"key '{column.key}' ({column.role}) holds {values[huge][0]:g}; numbers up to {LARGEST:g} can be used. Check "
            "what the column holds where a value is missing, and its unit."
        ]
    if column.role == "size_factor" and (low := known & (values <= 0)).any():
        return [f"key '{column.key}' (size_factor) is not positive in {int(low.sum())} cells. Give factors above 0."]
    return []
