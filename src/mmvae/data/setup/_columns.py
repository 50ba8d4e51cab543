"""What a user asks for, and the per-cell annotations, found in `mdata.obs` first, then in the modalities."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date
from typing import Any, Literal, Self, TypeAlias

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from scvi import REGISTRY_KEYS

from mmvae._checks import near
from mmvae._keys import FIELDS, RESOLVED_PREFIX, STATE
from mmvae.data._access import modalities_of, rows_of

SEQUENCES = {"batch_key", "categorical_covariate_keys", "continuous_covariate_keys", "prior_covariate_keys"}
NUMBERS = ("continuous", "size_factor")
# Single precision ends at 3.4e38, and no measurement comes near either.
LARGEST = 1e30
# Of a size factor from the median: cells with a single count are nearer to those with most.
FARTHEST_FACTOR = 1e9
EXAMPLES = 3
# Where the registry keeps scales.
COLUMNS, MEANS, SDS = "columns", "means", "sds"
# What rounding leaves of a constant, relative to it, is no spread.
ROUNDING = 1e-12
DATE_AND_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?([+-]\d\d:?\d\d|Z)?")
Scale: TypeAlias = tuple[float, float]
Role = Literal["batch", "labels", "categorical", "continuous", "prior_covariate", "size_factor"]


@dataclass(frozen=True)
class SetupArguments:
    """Arguments of :meth:`~mmvae.MultiVAE.setup_mudata`; sequences as tuples."""

    size_factor_keys: Mapping[str, str]
    layers: Mapping[str, str | None]
    likelihoods: Mapping[str, Any]
    batch_key: tuple[str, ...] = ()
    labels_key: str | None = None
    unlabeled_category: str = "unknown"
    categorical_covariate_keys: tuple[str, ...] = ()
    continuous_covariate_keys: tuple[str, ...] = ()
    prior_covariate_keys: tuple[str, ...] = ()
    modalities: Mapping[str, str] | None = None

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """From the arguments of ``setup_mudata`` or ``setup_anndata``; others are ignored."""
        given = dict(given)
        if (name := given.get("modality")) is not None:
            given["modalities"] = {name: name}
            for argument in ("layer", "likelihood", "size_factor_key"):
                if given.get(argument) is not None:
                    given[f"{argument}s"] = {name: given[argument]}
        for argument in SEQUENCES & set(given):
            value = given[argument]
            given[argument] = (value,) if isinstance(value, str) else tuple(value or ())
        given |= {argument: given.get(argument) or {} for argument in ("size_factor_keys", "layers", "likelihoods")}
        return cls(**{f.name: given[f.name] for f in fields(cls) if f.name in given})


def scale_of(values: pd.Series) -> Scale:
    """Mean and standard deviation of a covariate, 1 where it is constant."""
    mean, sd = float(values.mean()), float(values.std(ddof=0))
    return mean, sd if sd > ROUNDING * abs(mean) else 1.0


def scales_of(registry: Mapping[str, Any]) -> dict[str, Scale]:
    """Mean and standard deviation of each covariate over the cells of the reference, by the name of its column."""
    state = registry[FIELDS].get(REGISTRY_KEYS.CONT_COVS_KEY, {}).get(STATE, {})
    if MEANS not in state:
        return {}
    return dict(zip(state[COLUMNS], zip(state[MEANS], state[SDS], strict=True), strict=True))


def keep_scales(registry: Mapping[str, Any], scales: Mapping[str, Scale]) -> None:
    """Write the scales beside the names of their columns in a registry."""
    state = registry[FIELDS][REGISTRY_KEYS.CONT_COVS_KEY][STATE]
    if used := [scales[name] for name in state.get(COLUMNS, ())]:
        state[MEANS], state[SDS] = map(list, zip(*used, strict=True))


@dataclass(frozen=True)
class Column:
    """One annotation that the model uses: numbers, or categories of text; ``detail`` is the modality of a size factor."""

    role: Role
    key: str
    values: pd.Series
    detail: str = ""

    @property
    def name(self) -> str:
        """Column of ``obs`` that scvi-tools reads: one of ours, since the user's own may be of any type."""
        return f"{RESOLVED_PREFIX}{self.role}_{self.key}"


def resolve_columns(
    data: AnnData | MuData, arguments: SetupArguments, *, is_query: bool = False
) -> tuple[list[Column], list[str]]:
    """Every column that ``arguments`` name, and faults; a query may lack labels, and size factors of what it lacks."""
    labels = () if arguments.labels_key is None else (arguments.labels_key,)
    wanted: list[tuple[Role, tuple[str, ...], str]] = [("batch", arguments.batch_key, ""), ("labels", labels, "")]
    wanted += [("categorical", (key,), "") for key in arguments.categorical_covariate_keys]
    wanted += [("continuous", (key,), "") for key in arguments.continuous_covariate_keys]
    wanted += [("prior_covariate", (key,), "") for key in arguments.prior_covariate_keys]
    lacks = set(arguments.size_factor_keys) - set(data.mod) if is_query and isinstance(data, MuData) else set()
    wanted += [("size_factor", (key,), name) for name, key in arguments.size_factor_keys.items() if name not in lacks]
    columns, faults = [], []
    for role, keys, detail in (each for each in wanted if each[1]):
        found = [find_column(data, key) for key in keys]
        if role == "labels":
            found = [_labels(data, found[0], arguments.unlabeled_category, is_query)]
        faults += [f for f in found if isinstance(f, str)]
        series = [f for f in found if isinstance(f, pd.Series)]
        if len(series) == len(keys):
            columns.append(_column(role, keys, series, detail))
            faults += _column_faults(data, columns[-1], series, is_query)
    return columns, faults


def find_column(data: AnnData | MuData, key: str) -> pd.Series | str:
    """Values of ``key`` for every cell, or a sentence that says where it was looked for."""
    if key in data.obs:
        return data.obs[key]
    places = {"adata.obs" if isinstance(data, AnnData) else "mdata.obs": list(data.obs)}
    if isinstance(data, MuData):
        modalities = modalities_of(data)
        if ":" in key:
            name, _, column = key.partition(":")
            if name not in modalities:
                return f"key '{key}': there is no modality '{name}', but {list(modalities)}.{near(name, modalities)}"
            key, modalities = column, {name: modalities[name]}
        if any(key in adata.obs for adata in modalities.values()):
            return _gather(data, key, modalities)
        places |= {f"mdata['{n}'].obs": list(a.obs) for n, a in modalities.items()}
    hint = near(key, [column for columns in places.values() for column in columns], n=2)
    return f"key '{key}' not found; looked in {', '.join(places)}.{hint}"


def _gather(data: MuData, key: str, modalities: dict[str, AnnData]) -> pd.Series | str:
    gathered = pd.Series(pd.NA, index=data.obs_names, dtype=object)
    for name, adata in ((n, a) for n, a in modalities.items() if key in a.obs):
        if not adata.obs_names.is_unique:
            return f"key '{key}': mdata['{name}'].obs_names are not unique. Make them unique."
        own = adata.obs[key].astype(object).reindex(data.obs_names)
        clash = gathered.notna() & own.notna() & _differ(gathered, own)
        if clash.any():
            cells = f"{int(clash.sum())} cells, such as '{clash.index[int(clash.argmax())]}'"
            advice = f"Put one column in mdata.obs, or name one as '{name}:{key}'."
            return f"key '{key}' differs between modalities for {cells}. {advice}"
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


def _column(role: Role, keys: tuple[str, ...], series: list[pd.Series], detail: str) -> Column:
    key = "+".join(keys)
    if role in NUMBERS:
        return Column(role, key, numbers(series[0]), detail)
    first, *others = [categories(s) for s in series]
    if others:
        texts: Any = [other.astype(str) for other in others]
        first = categories(first.astype(str).str.cat(texts, sep=" | ").mask(_missing(series)))
    return Column(role, key, first)


def _missing(series: list[pd.Series]) -> np.ndarray:
    """Cells for which a column has no value."""
    return np.logical_or.reduce([s.isna().to_numpy() for s in series])


def _column_faults(data: AnnData | MuData, column: Column, series: list[pd.Series], is_query: bool) -> list[str]:
    faults, where = [], f"key '{column.key}' ({column.role})"
    needed = rows_of(data, column.detail) >= 0 if column.detail else np.ones(data.n_obs, dtype=bool)
    if (missing := _missing(series) & needed).any():
        cells = f"{int(missing.sum())} of {data.n_obs} cells, such as "
        cells += ", ".join(map(repr, data.obs_names[missing][:EXAMPLES].tolist()))
        faults.append(f"{where} has no value for {cells}. Fill them in, or leave those cells out.")
    if column.role in NUMBERS:
        faults += _number_faults(column, series[0], needed)
    # The few cells of a query may well be of as many batches.
    elif column.role != "labels" and not is_query and column.values.nunique() > max(2, data.n_obs // 2):
        advice = "Give a column that groups cells; numbers belong in continuous_covariate_keys."
        faults.append(f"{where} has {column.values.nunique()} categories for {data.n_obs} cells. {advice}")
    return faults


def _number_faults(column: Column, given: pd.Series, needed: np.ndarray) -> list[str]:
    where = f"key '{column.key}' ({column.role})"
    known, values = given.notna().to_numpy() & needed, column.values.to_numpy()
    if (bad := known & ~np.isfinite(values)).any():
        example = text_of(given[bad].iloc[0])
        return [f"{where} holds '{example}', not a finite number. Convert the column."]
    if (huge := known & (np.abs(values) > LARGEST)).any():
        advice = "Check what the column holds where a value is missing, and its unit."
        return [f"{where} holds {values[huge][0]:g}; numbers up to {LARGEST:g} can be used. {advice}"]
    if column.role == "size_factor" and (low := known & (values <= 0)).any():
        return [f"{where} is not positive in {int(low.sum())} cells. Give factors above 0."]
    if column.role == "size_factor" and known.any():
        middle = float(np.median(values[known]))
        far = known & (np.abs(np.log(np.where(known, values, 1) / middle)) > np.log(FARTHEST_FACTOR))
        if far.any() or not 1 / LARGEST <= middle:
            what = f"holds {values[far][0] if far.any() else middle:g}, with a median of {middle:g}"
            return [f"{where} {what}: factors that far from it, or from 1, are none of depth. Check the column."]
    return []


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
    """The text of each value as a category, in the order of ``values`` or else sorted; those that no cell has are left out."""
    levels, codes = _levels(values)
    texts = [text_of(level) for level in levels]
    used = {texts[code] for code in np.unique(codes) if code >= 0}
    kept = [text for text in dict.fromkeys(texts) if text in used]
    # The last place is that of the code -1, a missing value. Every version of anndata can write objects.
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
