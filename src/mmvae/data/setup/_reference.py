"""Whether data fit a registry: that of a reference, or their own of before."""

from collections.abc import Iterator, Mapping
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
from ._columns import Column, Role
from ._inspect import inspect
from ._result import Setup
from ._scale import scales_of

EXAMPLES = 5
# Standard deviations of the reference's cells: beyond, the covariate is of another unit or stands for a missing value.
FARTHEST = 1e6
# Share of an absent modality's features that makes one of another name look like it.
SAME_FEATURES = 0.5
JOINT_FIELDS: dict[Role, str] = {
    "categorical": REGISTRY_KEYS.CAT_COVS_KEY,
    "prior_covariate": PRIOR_COVARIATES,
}


def inspect_or_raise(
    data: AnnData | MuData, arguments: SetupArguments, source: Mapping[str, Any] | None, *, extend: bool = False
) -> Setup:
    """Inspect ``data``, against the registry ``source`` of a reference if there is one.

    Parameters
    ----------
    data
        AnnData or MuData.
    arguments
        What the user asked for, or what the reference was set up with.
    source
        Registry of a reference.
    extend
        Whether batches and categories that the reference does not know are welcome.

    Raises
    ------
    SetupError
        If the data have faults; all of them in one message.
    """
    if source is not None and (wrong := _type_faults(data, source)):
        raise SetupError(wrong)
    setup = inspect(data, arguments, is_query=source is not None)
    if source is not None:
        setup.faults += reference_faults(data, setup, source)
        setup.faults += [] if extend else category_faults(setup, source)
    setup.raise_faults()
    return setup


def _type_faults(data: AnnData | MuData, source: Mapping[str, Any]) -> list[str]:
    """An AnnData for a model of a MuData, or the other way round."""
    modality = source[SETUP_ARGS].get("modality")
    if isinstance(data, AnnData) and modality is None:
        names = list(SetupArguments.of(source[SETUP_ARGS]).chosen)
        return [
            f"expected a MuData, as the model was set up with; got an AnnData. Make MuData({{'{names[0]}': adata}})."
        ]
    if isinstance(data, MuData) and modality is not None:
        return [f"expected an AnnData, as the model was set up with; got a MuData. Give mdata['{modality}']."]
    return []


def reference_faults(data: AnnData | MuData, setup: Setup, source: Mapping[str, Any]) -> list[str]:
    """Modalities and features that are not the reference's, and covariates far from its own."""
    names = [m.name for m in setup.modalities]
    return _renamed_faults(data, source) + feature_faults(data, names, source) + _far_faults(setup, source)


def feature_faults(data: AnnData | MuData, names: list[str], source: Mapping[str, Any]) -> list[str]:
    """Features of the modalities ``names`` that are not those of the registry ``source``."""
    faults = []
    for name in names:
        registered = source[FIELDS].get(layer_key(name))
        if not registered:
            continue
        expected, got = _features(registered), _names(_modality(data, name).var_names)
        if not expected.equals(got):
            faults.append(_feature_fault(name, expected, got))
    return faults


def _modality(data: AnnData | MuData, name: str) -> AnnData:
    return data if isinstance(data, AnnData) else data.mod[name]


def _features(registered: Mapping[str, Any]) -> pd.Index:
    return _names(registered[STATE]["column_names"])


def _names(names: Any) -> pd.Index:
    # Of one type: pandas takes no index of type "string" for the equal of the same names as objects.
    return pd.Index(names, dtype=object)


def _feature_fault(name: str, expected: pd.Index, got: pd.Index) -> str:
    n_missing, n_new = len(expected.difference(got)), len(got.difference(expected))
    if n_missing + n_new == 0:
        return f"modality '{name}': features are the model's in another order. Reorder with adata[:, names].copy()."
    return (
        f"modality '{name}': of the model's {len(expected)} features {n_missing} are missing, and {n_new} are new. "
        "Give the same features in the same order."
    )


def _renamed_faults(data: AnnData | MuData, source: Mapping[str, Any]) -> list[str]:
    """Modalities that the reference does not have, beside the lack of some that it has: perhaps under another name."""
    if isinstance(data, AnnData):
        return []
    known = list(SetupArguments.of(source[SETUP_ARGS]).chosen)
    absent, unknown = [n for n in known if n not in data.mod], [n for n in modalities_of(data) if n not in known]
    if not absent or not unknown:
        return []
    hints = [f"'{new}' has the features of '{old}': name it so." for old in absent for new in _alike(data, old, source)]
    advice = " ".join(hints) or "Rename those that are the same; make a MuData without the others."
    return [f"the reference's {absent} are missing, and it does not know {unknown}. {advice}"]


def _alike(data: MuData, old: str, source: Mapping[str, Any]) -> list[str]:
    """Modalities most of whose features are those that the reference knows as ``old``."""
    registered = source[FIELDS].get(layer_key(old))
    if not registered:
        return []
    features = _features(registered)
    return [n for n, adata in modalities_of(data).items() if adata.var_names.isin(features).mean() > SAME_FEATURES]


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


def category_faults(setup: Setup, source: Mapping[str, Any]) -> list[str]:
    """Batches and categories of covariates that the reference does not know."""
    return [
        f"key '{column.key}' ({column.role.replace('_', ' ')}) holds {sorted(new)[:EXAMPLES]}, which the reference does not "
        f"know; it has {sorted(known)[:EXAMPLES]}. Map new ones with MultiVAE.load_query_data."
        for column, known in _known_categories(setup, source)
        if (new := set(column.values.dropna().unique()) - known)
    ]


def _known_categories(setup: Setup, source: Mapping[str, Any]) -> Iterator[tuple[Column, set[str]]]:
    """Columns whose categories a reference must know, with those that it does."""
    fields = source[FIELDS]
    for column in setup.columns:
        if column.role == "batch":
            known = fields.get(REGISTRY_KEYS.BATCH_KEY, {}).get(STATE, {}).get("categorical_mapping", ())
        elif column.role in JOINT_FIELDS:
            known = fields.get(JOINT_FIELDS[column.role], {}).get(STATE, {}).get("mappings", {}).get(column.name, ())
        else:
            continue
        yield column, {text_of(category) for category in known}


def known_labels(values: pd.Series, source: Mapping[str, Any]) -> pd.Series:
    """Labels of a query, those that the reference does not know taken away."""
    state = source[FIELDS].get(REGISTRY_KEYS.LABELS_KEY, {}).get(STATE, {})
    known = [text_of(label) for label in state.get("categorical_mapping", [])]
    texts = values.astype(object)
    return texts.where(texts.isin(known), state.get("unlabeled_category"))
