"""Whether data fit the registry of a reference."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from anndata import AnnData
from mudata import MuData
from scvi import REGISTRY_KEYS

from mmvae._errors import SetupError
from mmvae._keys import FIELDS, PRIOR_COVARIATES, SETUP_ARGS, STATE, layer_key
from mmvae.data._access import modalities_of

from ._columns import Role, SetupArguments, scales_of, text_of
from ._features import feature_faults
from ._inspect import inspect
from ._modality import Setup

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
    """Inspect ``data``, against a reference's registry ``source`` if given; ``extend`` lets it have new categories."""
    if source is not None:
        check_type(data, source)
    setup = inspect(data, arguments, is_query=source is not None)
    if source is not None:
        modalities = modalities_of(data, {name: name for name in setup.names})
        for name in setup.names:
            setup.faults += feature_faults(name, modalities[name], features_in(name, source))
        setup.faults += renamed_faults(data, source)
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


def features_in(name: str, source: Mapping[str, Any]) -> pd.Index:
    """Features of a modality in a registry; none if that does not know it."""
    state = source[FIELDS].get(layer_key(name), {}).get(STATE, {})
    return pd.Index(state.get("column_names", []), dtype=object)


def renamed_faults(data: AnnData | MuData, source: Mapping[str, Any]) -> list[str]:
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
        if adata.var_names.isin(features_in(old, source)).mean() > SAME_FEATURES
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
