"""Whether data fit a registry: that of a reference, or their own of before."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from anndata import AnnData
from mudata import MuData
from scvi import REGISTRY_KEYS

from mmvae._errors import SetupError
from mmvae._keys import FIELDS, PRIOR_COVARIATES, SETUP_ARGS, STATE, layer_key
from mmvae.data._access import modalities_of

from ._arguments import SetupArguments
from ._categories import text_of
from ._columns import Role, scales_of
from ._inspect import inspect
from ._result import Setup

EXAMPLES = 5
# Standard deviations of the reference's cells: beyond, the covariate is of another unit or stands for a missing value.
FARTHEST = 1e6
# Share of an absent modality's features that makes one of another name look like it.
SAME_FEATURES = 0.5
CATEGORY_FIELDS: dict[Role, str] = {
    "batch": REGISTRY_KEYS.BATCH_KEY,
    "categorical": REGISTRY_KEYS.CAT_COVS_KEY,
    "prior_covariate": PRIOR_COVARIATES,
}


def inspect_or_raise(
    data: AnnData | MuData, arguments: SetupArguments, source: Mapping[str, Any] | None, *, extend: bool = False
) -> Setup:
    """Inspect ``data``, against the registry ``source`` of a reference if there is one; raise all faults in one error.

    ``extend`` says whether batches and categories that the reference does not know are welcome.
    """
    if source is not None and (wrong := _type_faults(data, source)):
        raise SetupError(wrong)
    setup = inspect(data, arguments, is_query=source is not None)
    if source is not None:
        setup.faults += _renamed_faults(data, source) + feature_faults(data, setup.names, source)
        setup.faults += _far_faults(setup, source) + ([] if extend else _category_faults(setup, source))
    setup.raise_faults()
    return setup


def _type_faults(data: AnnData | MuData, source: Mapping[str, Any]) -> list[str]:
    """An AnnData for a model of a MuData, or the other way round."""
    modality = source[SETUP_ARGS].get("modality")
    if isinstance(data, AnnData) and modality is None:
        name = next(iter(SetupArguments.of(source[SETUP_ARGS]).chosen))
        return [f"expected a MuData, as the model was set up with; got an AnnData. Make MuData({{'{name}': adata}})."]
    if isinstance(data, MuData) and modality is not None:
        return [f"expected an AnnData, as the model was set up with; got a MuData. Give mdata['{modality}']."]
    return []


def feature_faults(data: AnnData | MuData, names: list[str], source: Mapping[str, Any]) -> list[str]:
    """Features of the modalities ``names`` that are not those of the registry ``source``."""
    faults = []
    for name in names:
        # Of one type: pandas takes no index of type "string" for the equal of the same names as objects.
        got = pd.Index(modalities_of(data, {name: name})[name].var_names, dtype=object)
        expected = _features(name, source)
        if expected is None or expected.equals(got):
            continue
        n_missing, n_new = len(expected.difference(got)), len(got.difference(expected))
        faults.append(
            f"modality '{name}': of the model's {len(expected)} features {n_missing} are missing, and {n_new} are new. "
            "Give the same features in the same order."
            if n_missing + n_new
            else f"modality '{name}': features are the model's in another order. Reorder with adata[:, names].copy()."
        )
    return faults


def _features(name: str, source: Mapping[str, Any]) -> pd.Index | None:
    """Features of a modality in a registry, if that knows it."""
    registered = source[FIELDS].get(layer_key(name))
    return pd.Index(registered[STATE]["column_names"], dtype=object) if registered else None


def _renamed_faults(data: AnnData | MuData, source: Mapping[str, Any]) -> list[str]:
    """Modalities that the reference does not have, beside the lack of some that it has: perhaps under another name."""
    if isinstance(data, AnnData):
        return []
    known = list(SetupArguments.of(source[SETUP_ARGS]).chosen)
    absent, unknown = [n for n in known if n not in data.mod], [n for n in data.mod if n not in known]
    if not absent or not unknown:
        return []
    hints = []
    for old in absent:
        features = _features(old, source)
        alike = [
            n for n, a in data.mod.items() if features is not None and a.var_names.isin(features).mean() > SAME_FEATURES
        ]
        hints += [f"'{new}' has the features of '{old}': name it so." for new in alike]
    advice = " ".join(hints) or "Rename those that are the same; make a MuData without the others."
    return [f"the reference's {absent} are missing, and it does not know {unknown}. {advice}"]


def _far_faults(setup: Setup, source: Mapping[str, Any]) -> list[str]:
    """Covariates beyond all reason on the reference's scale."""
    scales = scales_of(source)
    faults = []
    for column in setup.columns:
        scale = scales.get(column.name) if column.role == "continuous" else None
        if scale is not None and (far := scale.standardise(column.values).abs() > FARTHEST).any():
            faults.append(
                f"key '{column.key}' (continuous) holds {column.values[far].iloc[0]:g}; over the reference's cells its mean "
                f"is {scale.mean:g} and its standard deviation {scale.sd:g}. Give it in the reference's unit."
            )
    return faults


def _category_faults(setup: Setup, source: Mapping[str, Any]) -> list[str]:
    """Batches and categories of covariates that the reference does not know."""
    faults = []
    for column in setup.columns:
        if column.role not in CATEGORY_FIELDS:
            continue
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
