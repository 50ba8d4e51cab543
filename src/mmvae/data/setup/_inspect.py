"""Everything that can be said of the data before training: what was taken, what is wrong, what to watch."""

import difflib
from collections.abc import Mapping
from typing import Any

from anndata import AnnData
from mudata import MuData

from mmvae.data._access import modalities_of, presence_of
from mmvae.data._graph import graph_faults
from mmvae.data._matrix import is_supported, values_of
from mmvae.likelihoods import Likelihood

from ._arguments import SetupArguments
from ._categories import text_of
from ._columns import resolve_columns
from ._feature_types import Kind, feature_type_faults
from ._kinds import choose_layer, choose_likelihood, kind_of
from ._links import empty_cell_faults, link_faults, link_notes
from ._names import name_faults
from ._result import ModalitySetup, Setup
from ._scan import Scan, scan
from ._values import empty_faults, value_faults, value_notes

MINIMUM_CELLS = 10


def inspect(data: AnnData | MuData, arguments: SetupArguments, *, is_query: bool = False) -> Setup:
    """Look at the data without changing them.

    Parameters
    ----------
    data
        AnnData or MuData.
    arguments
        What the user asked for.
    is_query
        Whether the data are to be mapped onto a reference: such data may be few, lack modalities, and hold
        modalities that no cell shares.

    Raises
    ------
    TypeError
        If ``data`` is neither AnnData nor MuData.
    """
    setup = Setup(unlabelled=text_of(arguments.unlabeled_category))
    if structural := _structure_faults(data, is_query):
        return Setup(faults=structural)
    chosen, setup.faults = _chosen(data, arguments, is_query)
    named = [] if isinstance(data, AnnData) else name_faults(data, list(chosen))
    if named or not chosen:
        return Setup(faults=setup.faults + named)
    for name, adata in chosen.items():
        where = "adata" if isinstance(data, AnnData) else f"mdata['{name}']"
        setup.faults += feature_type_faults(name, adata, where)
        _inspect_modality(setup, name, adata, arguments, is_query=is_query)
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
    wanted = available if arguments.modalities is None else list(arguments.modalities.values())
    absent = [name for name in wanted if name not in available]
    if absent and not (is_query and len(absent) < len(list(wanted))):
        return {}, [_unknown_modality(name, list(available)) for name in absent]
    return {name: available[name] for name in wanted if name in available}, []


def _unknown_modality(name: str, available: list[str]) -> str:
    near = difflib.get_close_matches(name, available, n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return f"modality '{name}' is not in the MuData, which has {available}.{hint}"


def _unknown_names(arguments: SetupArguments, names: list[str]) -> list[str]:
    """Modalities that the mappings of the arguments name and the data do not have."""
    known = set(names) | set((arguments.modalities or {}).values())
    mappings = {
        "layers": arguments.layers,
        "likelihoods": arguments.likelihoods,
        "size_factor_keys": arguments.size_factor_keys,
    }
    return [
        f"{argument}: {_unknown_modality(name, names)}"
        for argument, mapping in mappings.items()
        for name in mapping or {}
        if name not in known
    ]


def _repeated_keys(arguments: SetupArguments) -> list[str]:
    decoders = arguments.batch_key + arguments.categorical_covariate_keys + arguments.continuous_covariate_keys
    return [
        f"key '{key}' is named more than once among {what}. Name it once."
        for keys, what in ((decoders, "batch and covariates"), (arguments.prior_covariate_keys, "prior covariates"))
        for key in dict.fromkeys(k for k in keys if keys.count(k) > 1)
    ]


def _inspect_modality(setup: Setup, name: str, adata: AnnData, arguments: SetupArguments, *, is_query: bool) -> None:
    role = next((r for r, n in (arguments.modalities or {}).items() if n == name), None)
    kind = kind_of(name, adata, role)
    layer, found, why = _layer_of(setup, name, adata, arguments, with_moments=not is_query)
    if found is None:
        return
    likelihood, reason = _likelihood_of(setup, name, kind, found, arguments)
    if likelihood is None:
        return
    reason = "; ".join(filter(None, [reason, why]))
    taken = ModalitySetup(name, kind, layer, likelihood, reason, adata.n_obs, adata.n_vars, found.moments)
    setup.faults += value_faults(taken, Likelihood.named(taken.likelihood_name).values, found, adata)
    setup.faults += [] if is_query else empty_faults(taken, found)
    setup.notes += value_notes(taken, found)
    setup.modalities.append(taken)


def _layer_of(
    setup: Setup, name: str, adata: AnnData, arguments: SetupArguments, *, with_moments: bool
) -> tuple[str | None, Scan | None, str]:
    layers = arguments.layers or {}
    if name not in layers and is_supported(adata.X) and not _takes_real_values(name, arguments):
        return choose_layer(adata, with_moments=with_moments)
    layer = layers.get(name)
    if layer is not None and layer not in adata.layers:
        setup.faults.append(f"modality '{name}' has no layer '{layer}'; it has {list(adata.layers)}.")
        return None, None, ""
    matrix = values_of(adata, layer)
    if not is_supported(matrix):
        setup.faults.append(_unreadable(name, f"layer '{layer}'" if layer else "X", matrix))
        return None, None, ""
    return layer, scan(matrix, with_moments=with_moments), ""


def _takes_real_values(name: str, arguments: SetupArguments) -> bool:
    """Whether the likelihood that was given for a modality takes real values, so that X need not be counts."""
    given = (arguments.likelihoods or {}).get(name)
    label = given.get("name") if isinstance(given, Mapping) else given
    return label in Likelihood.registry and Likelihood.named(str(label)).values == "real"


def _unreadable(name: str, where: str, matrix: object) -> str:
    got = "nothing" if matrix is None else f"{type(matrix).__name__} of {getattr(matrix, 'dtype', 'unknown type')}"
    return (
        f"modality '{name}', {where}: expected numbers in a numpy array or a CSR or CSC matrix; got {got}. Convert it."
    )


def _likelihood_of(
    setup: Setup, name: str, kind: Kind, found: Scan, arguments: SetupArguments
) -> tuple[Any | None, str]:
    if arguments.likelihoods is None or name not in arguments.likelihoods:
        return choose_likelihood(kind, found)
    given = arguments.likelihoods[name]
    label = given.get("name") if isinstance(given, Mapping) else given
    try:
        Likelihood.named(str(label))
    except ValueError as error:
        setup.faults.append(f"modality '{name}': {error}")
        return None, ""
    return given, "given"
