"""Whether data fit a registry: that of a reference, or their own of before."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from scvi import REGISTRY_KEYS

from mmvae._errors import SetupError
from mmvae._keys import DATA, FIELDS, PRIOR_COVARIATES, SETUP_ARGS, STATE, layer_key
from mmvae.data._access import files_of, modalities_of
from mmvae.data._matrix import Matrix, is_on_disk, is_supported, take, values_of

from ._columns import Role, SetupArguments, scales_of, text_of
from ._inspect import inspect, name_faults
from ._modality import Setup

EXAMPLES = 5
# Standard deviations of the reference's cells: beyond, the covariate is of another unit or stands for a missing value.
FARTHEST = 1e6
# Share of an absent modality's features that makes one of another name look like it.
SAME_FEATURES = 0.5
SAMPLED_CELLS = 256
# Relative to the sum of a cell's absolute values: more than a change of precision does, less than one count.
TOLERANCE = 1e-6
ADVICE = "Put back what was there, such as from a copy, or set the data up again and train a new model."
CATEGORY_FIELDS: dict[Role, str] = {
    "batch": REGISTRY_KEYS.BATCH_KEY,
    "categorical": REGISTRY_KEYS.CAT_COVS_KEY,
    "prior_covariate": PRIOR_COVARIATES,
}


def inspect_or_raise(
    data: AnnData | MuData, arguments: SetupArguments, source: Mapping[str, Any] | None, *, extend: bool = False
) -> Setup:
    """Inspect ``data``, against a reference's registry ``source`` if given; ``extend`` lets it have new categories."""
    if source is not None:
        check_type(data, source)
    setup = inspect(data, arguments, is_query=source is not None)
    if source is not None:
        setup.faults += _renamed_faults(data, source) + _feature_faults(data, setup.names, source)
        setup.faults += _far_faults(setup, source) + ([] if extend else _category_faults(setup, source))
    setup.raise_faults()
    return setup


def check_type(data: AnnData | MuData, source: Mapping[str, Any]) -> None:
    """Refuse an AnnData for a model of a MuData, or the other way round."""
    modality = source[SETUP_ARGS].get("modality")
    if isinstance(data, AnnData) and modality is None:
        name = next(iter(SetupArguments.of(source[SETUP_ARGS]).likelihoods))
        advice = f"Make MuData({{'{name}': adata}})."
        raise SetupError([f"expected a MuData, as the model was set up with; got an AnnData. {advice}"])
    if isinstance(data, MuData) and modality is not None:
        advice = f"Give mdata['{modality}']."
        raise SetupError([f"expected an AnnData, as the model was set up with; got a MuData. {advice}"])


def _feature_faults(data: AnnData | MuData, names: list[str], source: Mapping[str, Any]) -> list[str]:
    """Features of the modalities ``names`` that are not those of the registry ``source``."""
    faults = []
    for name in names:
        # Of one type: pandas takes no index of type "string" for the equal of the same names as objects.
        got = pd.Index(modalities_of(data, {name: name})[name].var_names, dtype=object)
        expected = _features(name, source)
        if expected.empty or expected.equals(got):
            continue
        n_missing, n_new = len(expected.difference(got)), len(got.difference(expected))
        wrong = "features are the model's in another order. Reorder with adata[:, names].copy()."
        if n_missing + n_new:
            wrong = f"of the model's {len(expected)} features {n_missing} are missing, and {n_new} are new. "
            wrong += "Give the same features in the same order."
        faults.append(f"modality '{name}': {wrong}")
    return faults


def _features(name: str, source: Mapping[str, Any]) -> pd.Index:
    """Features of a modality in a registry; none if that does not know it."""
    state = source[FIELDS].get(layer_key(name), {}).get(STATE, {})
    return pd.Index(state.get("column_names", []), dtype=object)


def _renamed_faults(data: AnnData | MuData, source: Mapping[str, Any]) -> list[str]:
    """Modalities that the reference does not have, beside the lack of some that it has: perhaps under other names."""
    known = SetupArguments.of(source[SETUP_ARGS]).likelihoods
    modalities = modalities_of(data, {name: name for name in known})
    absent, unknown = [n for n in known if n not in modalities], [n for n in modalities if n not in known]
    if not absent or not unknown:
        return []
    hints = [
        f"'{new}' has the features of '{old}': name it so."
        for old in absent
        for new, adata in modalities.items()
        if adata.var_names.isin(_features(old, source)).mean() > SAME_FEATURES
    ]
    advice = " ".join(hints) or "Rename those that are the same; make a MuData without the others."
    return [f"the reference's {absent} are missing, and it does not know {unknown}. {advice}"]


def _far_faults(setup: Setup, source: Mapping[str, Any]) -> list[str]:
    """Covariates beyond all reason on the reference's scale."""
    scales = scales_of(source)
    faults = []
    for column in (c for c in setup.columns if c.name in scales):
        mean, sd = scales[column.name]
        if (far := abs(column.values - mean) / sd > FARTHEST).any():
            faults.append(
                f"key '{column.key}' (continuous) holds {column.values[far].iloc[0]:g}; over the reference's cells its mean "
                f"is {mean:g} and its standard deviation {sd:g}. Give it in the reference's unit."
            )
    return faults


def _category_faults(setup: Setup, source: Mapping[str, Any]) -> list[str]:
    """Batches and categories of covariates that the reference does not know."""
    faults = []
    for column in (c for c in setup.columns if c.role in CATEGORY_FIELDS):
        state = source[FIELDS].get(CATEGORY_FIELDS[column.role], {}).get(STATE, {})
        by_column = state.get("mappings", {}) | {"batch": state.get("categorical_mapping", ())}
        known = {text_of(c) for c in by_column.get("batch" if column.role == "batch" else column.name, ())}
        if new := set(column.values.dropna().unique()) - known:
            faults.append(
                f"key '{column.key}' ({column.role.replace('_', ' ')}) holds {sorted(new)[:EXAMPLES]}, which the reference "
                f"does not know; it has {sorted(known)[:EXAMPLES]}. Map new ones with MultiVAE.load_query_data."
            )
    return faults


def known_labels(values: pd.Series, source: Mapping[str, Any]) -> pd.Series:
    """Labels of a query, those that the reference does not know taken away."""
    state = source[FIELDS].get(REGISTRY_KEYS.LABELS_KEY, {}).get(STATE, {})
    known = [text_of(label) for label in state.get("categorical_mapping", [])]
    texts = values.astype(object)
    return texts.where(texts.isin(known), state.get("unlabeled_category"))


class Fingerprint(NamedTuple):
    """Names and rows of some of ``n_cells`` cells, weighted sums over their features, and those of absolute values."""

    cells: pd.Index
    rows: np.ndarray
    n_cells: int
    sums: np.ndarray
    sizes: np.ndarray


def _weighted_sums(matrix: Matrix, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sums of the values and of their absolutes, each feature with a weight of its own; each ``(n_rows,)``."""
    weights = np.random.default_rng(0).uniform(1, 2, matrix.shape[1])
    block = take(matrix, rows)
    return block @ weights, abs(block) @ weights


def sampled_sums(matrix: Matrix, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What tells the values of some cells, ``rows``, from others: :func:`_weighted_sums` of those of some of them."""
    places = np.linspace(0, len(rows) - 1, min(len(rows), SAMPLED_CELLS)).astype(int)
    return _weighted_sums(matrix, rows[places])


def are_same(sums: np.ndarray, others: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Which cells have the same sums of values, ``sizes`` being those of absolute values."""
    return np.asarray(np.abs(sums - others) <= TOLERANCE * sizes)


def fingerprints_of(data: AnnData | MuData, layers: Mapping[str, str | None]) -> dict[str, Fingerprint]:
    """By modality that the data have in memory, what tells its values from others; no one changes files unawares."""
    found = {}
    for name, adata in _registered(data, layers).items():
        matrix = values_of(adata, layers[name])
        if adata.n_obs and not is_on_disk(matrix):
            rows = np.unique(np.linspace(0, adata.n_obs - 1, SAMPLED_CELLS).astype(int))
            found[name] = Fingerprint(adata.obs_names[rows], rows, adata.n_obs, *_weighted_sums(matrix, rows))
    return found


def changed_faults(
    data: AnnData | MuData, registry: dict, layers: Mapping[str, str | None], fingerprints: Mapping[str, Fingerprint]
) -> list[str]:
    """What was changed in names and values since they were registered; that cells were left out everywhere is no fault."""
    present = _registered(data, layers)
    faults = [f"modality '{name}' is gone. {ADVICE}" for name in layers if name not in present]
    # Of a Zarr store that is gone zeros are read; an open file of HDF5 is read on wherever it went.
    gone = [path for path in files_of(data, hdf5=False) if not path.exists()]
    faults += [f"the Zarr store '{path}' is gone, which values are read from. Put it back." for path in gone]
    for place in (field[DATA] for field in registry[FIELDS].values()):
        attribute, key = place.get("attr_name"), place.get("attr_key")
        if attribute in ("obs", "obsm") and key not in getattr(data, attribute):
            faults.append(f"{attribute}['{key}'], which the set-up wrote, is gone. {ADVICE}")
    faults += [] if isinstance(data, AnnData) else name_faults(data, list(present))
    faults += _feature_faults(data, list(present), registry)
    if faults:
        return faults
    checked = [_value_faults(name, adata, layers[name], fingerprints.get(name)) for name, adata in present.items()]
    return sum(checked, [])


def _registered(data: AnnData | MuData, layers: Mapping[str, str | None]) -> dict[str, AnnData]:
    """Modalities that were registered and are there."""
    modalities = modalities_of(data, {name: name for name in layers})
    return {name: modalities[name] for name in layers if name in modalities}


def _value_faults(name: str, adata: AnnData, layer: str | None, before: Fingerprint | None) -> list[str]:
    where = f"modality '{name}', {'X' if layer is None else f'layer {layer!r}'}"
    if layer is not None and layer not in adata.layers:
        return [f"{where} is gone. {ADVICE}"]
    matrix = values_of(adata, layer)
    if not is_supported(matrix):
        got = "nothing" if matrix is None else type(matrix).__name__
        return [f"{where}: expected the values that were set up; got {got}. {ADVICE}"]
    if before is None or is_on_disk(matrix) or len(changed := _changed(before, adata.obs_names, matrix)) == 0:
        return []
    n_changed = f"{len(changed)} of {len(before.cells)} cells compared, such as '{changed[0]}'"
    return [f"{where}: values are not those that were set up, in {n_changed}. {ADVICE}"]


def _changed(before: Fingerprint, names: pd.Index, matrix: Matrix) -> pd.Index:
    """Names of those of the sampled cells that are still there and whose values are others."""
    rows = names.get_indexer(before.cells) if names.is_unique else np.full(len(before.cells), -1)
    if (rows < 0).all() and len(names) == before.n_cells:
        rows = before.rows  # the cells have new names, or share them
    kept = np.flatnonzero(rows >= 0)
    sums, _ = _weighted_sums(matrix, rows[kept])
    return names[rows[kept[~are_same(sums, before.sums[kept], before.sizes[kept])]]]
