"""Everything that can be said of the data before training: what was taken, what is wrong, what to watch."""

import difflib

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from torch import nn

from mmvae._keys import FUSED, JOINT, SHARED, UNWEIGHTED
from mmvae.data._access import graph_faults, modalities_of, presence_of, rows_of

from ._arguments import SetupArguments
from ._categories import text_of
from ._columns import resolve_columns
from ._links import empty_cell_faults, link_faults, link_notes
from ._modality import feature_type_faults, inspect_modality
from ._result import Setup

MINIMUM_CELLS = 10
RESERVED = {FUSED, UNWEIGHTED, SHARED, JOINT}


def inspect(data: AnnData | MuData, arguments: SetupArguments, *, is_query: bool = False) -> Setup:
    """Look at the data without changing them; a ``TypeError`` if they are neither AnnData nor MuData.

    A query, to be mapped onto a reference, may be small, lack modalities, and hold modalities that no cell shares.
    """
    setup = Setup(unlabelled=text_of(arguments.unlabeled_category))
    if structural := _structure_faults(data, is_query):
        return Setup(faults=structural)
    chosen, setup.faults = _chosen(data, arguments, is_query)
    named = [f for name in chosen for f in modality_name_faults(name)]
    named += [] if isinstance(data, AnnData) else name_faults(data, list(chosen))
    if named or not chosen:
        return Setup(faults=setup.faults + named)
    for name, adata in chosen.items():
        where = "adata" if isinstance(data, AnnData) else f"mdata['{name}']"
        setup.faults += feature_type_faults(name, adata, where)
        inspect_modality(setup, name, adata, arguments, is_query=is_query)
    setup.columns, column_faults = resolve_columns(data, arguments, is_query=is_query)
    setup.faults += column_faults + _repeated_keys(arguments) + _unknown_names(arguments, list(chosen))
    setup.presence = presence_of(data, list(chosen))
    setup.faults += empty_cell_faults(data, list(chosen), setup.presence) + graph_faults(data)
    if not is_query:
        setup.faults += link_faults(data, list(chosen), setup.presence)
        setup.notes += link_notes(list(chosen), setup.presence, setup.columns)
    return setup


def _structure_faults(data: object, is_query: bool) -> list[str]:
    """What makes looking any further pointless."""
    if not isinstance(data, AnnData | MuData):
        msg = f"Expected a MuData or AnnData; got {type(data).__name__}. Read it with mudata.read or anndata.read_h5ad."
        raise TypeError(msg)
    name = "mdata" if isinstance(data, MuData) else "adata"
    if data.is_view:
        return [f"the data are a view of a larger object. Use {name} = {name}.copy() first."]
    if isinstance(data, MuData) and data.axis != 0:
        return [
            f"modalities share axis {data.axis}, not cells. Build MuData(..., axis=0); data sets that share genes but "
            "not cells are one modality with a batch_key for the assay, see mmvae.pp.join_features."
        ]
    if isinstance(data, MuData) and (views := [n for n, a in data.mod.items() if a.is_view]):
        return [f"modality '{n}' is a view. Use mdata = mdata.copy() first." for n in views]
    if data.n_obs == 0 or (data.n_obs < MINIMUM_CELLS and not is_query):
        return [f"there are {data.n_obs} cells; at least {MINIMUM_CELLS} are needed to train."]
    return []


def _chosen(data: AnnData | MuData, arguments: SetupArguments, is_query: bool) -> tuple[dict[str, AnnData], list[str]]:
    """Modalities to use, by name, and faults of the choice."""
    if isinstance(data, AnnData):
        return modalities_of(data, arguments.modalities), []
    available = modalities_of(data)
    if not available:
        return {}, ["the MuData holds no modality."]
    wanted = list(available if arguments.modalities is None else arguments.modalities.values())
    if not wanted:
        return {}, [f"modalities= names none; the MuData has {list(available)}."]
    absent = [name for name in wanted if name not in available]
    if absent and not (is_query and len(absent) < len(wanted)):
        return {}, [_unknown_modality(name, list(available)) for name in absent]
    return {name: available[name] for name in wanted if name in available}, []


def _unknown_modality(name: str, available: list[str]) -> str:
    near = difflib.get_close_matches(name, available, n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return f"modality '{name}' is not in the MuData, which has {available}.{hint}"


def name_faults(mdata: MuData, names: list[str]) -> list[str]:
    """Faults of the names in ``mdata``; if there are any, rows cannot be matched to cells."""
    faults = _duplicates("mdata.obs_names", mdata.obs_names)
    for name in names:
        adata = mdata.mod[name]
        faults += _duplicates(f"mdata['{name}'].obs_names", adata.obs_names)
        faults += _duplicates(f"mdata['{name}'].var_names", adata.var_names)
        if adata.n_vars == 0:
            faults.append(f"modality '{name}' has no features. Leave it out with modalities=.")
        elif not _is_indexed(mdata, name):
            faults.append(
                f"modality '{name}' was changed after the MuData was made: mdata.obsmap['{name}'] no longer fits its "
                "obs_names. Call mdata.update()."
            )
    return faults


def modality_name_faults(name: str) -> list[str]:
    """Whether a modality may have this name."""
    if name and not set(name) & set("./+") and name not in RESERVED and not hasattr(nn.ModuleDict(), name):
        return []
    return [
        f"modality name '{name}' cannot be used: it is empty, holds '.', '+' or '/', or is a reserved word. Rename it."
    ]


def _duplicates(where: str, names: pd.Index) -> list[str]:
    if names.is_unique:
        return []
    again = names[names.duplicated()].unique()
    return [f"{where}: {len(again)} names occur more than once, such as '{again[0]}'. Make them unique."]


def _is_indexed(mdata: MuData, name: str) -> bool:
    """Whether ``obsmap`` leads from each cell to the row of that name, and reaches every row."""
    rows, names = rows_of(mdata, name), mdata.mod[name].obs_names
    present = rows >= 0
    if present.sum() != len(names) or rows.max(initial=-1) >= len(names):
        return False
    return bool(np.array_equal(names.to_numpy()[rows[present]], mdata.obs_names.to_numpy()[present]))


def _unknown_names(arguments: SetupArguments, names: list[str]) -> list[str]:
    """Modalities that the mappings of the arguments name and the data do not have."""
    known = set(names) | set((arguments.modalities or {}).values())
    return [
        f"{argument}: {_unknown_modality(name, names)}"
        for argument in ("layers", "likelihoods", "size_factor_keys")
        for name in getattr(arguments, argument) or {}
        if name not in known
    ]


def _repeated_keys(arguments: SetupArguments) -> list[str]:
    decoders = arguments.batch_key + arguments.categorical_covariate_keys + arguments.continuous_covariate_keys
    return [
        f"key '{key}' is named more than once among {what}. Name it once."
        for keys, what in ((decoders, "batch and covariates"), (arguments.prior_covariate_keys, "prior covariates"))
        for key in dict.fromkeys(k for k in keys if keys.count(k) > 1)
    ]
