"""What was taken of the data, what is wrong, what to watch; cells that have two modalities bridge the two."""

from itertools import combinations, product

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from scipy.sparse.csgraph import connected_components
from torch import nn

from mmvae._checks import near
from mmvae._keys import FUSED, JOINT, MINIFIED, MINIFY_TYPE, SHARED, UNWEIGHTED
from mmvae.data._access import graph_faults, modalities_of, pattern_names, presence_of, rows_of
from mmvae.data._minified import minified_faults

from ._columns import Column, SetupArguments, resolve_columns, text_of
from ._hashtags import hashtag_notes
from ._modality import Setup, feature_type_faults, inspect_modality

MINIMUM_CELLS = 10
FEW_BRIDGES = 50
SHARED_FEATURES = 0.5
# What pandas calls names.
TEXT = ("string", "empty", "categorical")
RESERVED = {FUSED, UNWEIGHTED, SHARED, JOINT}


def inspect(data: AnnData | MuData, arguments: SetupArguments, *, is_query: bool = False) -> Setup:
    """Look at the data; a query may be small, lack modalities, and hold modalities that no cell shares."""
    setup = Setup(unlabelled=text_of(arguments.unlabeled_category))
    if structural := _structure_faults(data, is_query):
        return Setup(faults=structural)
    chosen, setup.faults = _chosen(data, arguments, is_query)
    names = list(chosen)
    setup.faults += minified_faults(data, names)
    for name, adata in chosen.items():
        where = "adata" if isinstance(data, AnnData) else f"mdata['{name}']"
        setup.faults += feature_type_faults(name, adata, where)
    named = [f for name in names for f in modality_name_faults(name)]
    named += _text_faults(data)
    named += _own_name_faults(data) if isinstance(data, AnnData) else name_faults(data, names)
    if named or not names:
        return Setup(faults=setup.faults + named)
    for name, adata in chosen.items():
        inspect_modality(setup, name, adata, arguments, is_query=is_query)
        setup.notes += [] if is_query else hashtag_notes(name, adata)
    setup.columns, column_faults = resolve_columns(data, arguments, is_query=is_query)
    setup.faults += column_faults + _repeated_keys(arguments) + _unknown_names(arguments, names)
    setup.presence = presence_of(data, names)
    empty = ~setup.presence.any(axis=1)
    if empty.any():
        cells = f"{int(empty.sum())} cells, such as '{data.obs_names[int(np.argmax(empty))]}'"
        setup.faults.append(f"{cells}, have none of the modalities {names}. Leave them out.")
    setup.faults += graph_faults(data)
    if not is_query:
        setup.faults += _link_faults(data, names, setup.presence)
        setup.notes += _link_notes(names, setup.presence, setup.columns)
    return setup


def _structure_faults(data: object, is_query: bool) -> list[str]:
    """What makes looking any further pointless."""
    if not isinstance(data, AnnData | MuData):
        msg = f"Expected a MuData or AnnData; got {type(data).__name__}. Read it with mudata.read or anndata.read_h5ad."
        raise TypeError(msg)
    if MINIFY_TYPE in data.uns and not (is_query and MINIFIED in data.uns):
        return [
            "the data are minified: they hold posteriors of a trained model. Load that model with them, or set up the data "
            f"with their values and without uns['{MINIFY_TYPE}']."
        ]
    name = "mdata" if isinstance(data, MuData) else "adata"
    if data.is_view:
        return [f"the data are a view of a larger object. Use {name} = {name}.copy() first."]
    if isinstance(data, MuData) and data.axis != 0:
        return [
            f"modalities share axis {data.axis}, not cells. Build MuData(..., axis=0); data sets that share genes but "
            "not cells are one modality with a batch_key for the assay, see mmvae.pp.join_features."
        ]
    if nested := [n for n, a in modalities_of(data).items() if not isinstance(a, AnnData)]:
        return [f"modality '{n}' is a MuData itself. Make one MuData of the modalities of all." for n in nested]
    if not modalities_of(data):
        return ["the MuData holds no modality. Make it of some, such as MuData({'rna': adata})."]
    if views := [n for n, a in modalities_of(data).items() if a.is_view]:
        return [f"modality '{n}' is a view. Use mdata = mdata.copy() first." for n in views]
    if data.n_obs == 0:
        return ["there are no cells. Give data with some."]
    if data.n_obs < MINIMUM_CELLS and not is_query:
        return [f"there are {data.n_obs} cells; at least {MINIMUM_CELLS} are needed to train."]
    return []


def _chosen(data: AnnData | MuData, arguments: SetupArguments, is_query: bool) -> tuple[dict[str, AnnData], list[str]]:
    """Modalities to use, by name, and faults of the choice."""
    if isinstance(data, AnnData):
        return modalities_of(data, arguments.modalities), []
    available = modalities_of(data)
    wanted = list(available if arguments.modalities is None else arguments.modalities.values())
    if not wanted:
        return {}, [f"modalities= names none; the MuData has {list(available)}."]
    absent = [name for name in wanted if name not in available]
    if absent and not (is_query and len(absent) < len(wanted)):
        return {}, [_unknown_modality(name, list(available)) for name in absent]
    # In the data's order, whatever that of the argument.
    return {name: adata for name, adata in available.items() if name in wanted}, []


def _unknown_modality(name: str, available: list[str]) -> str:
    return f"modality '{name}' is not in the MuData, which has {available}.{near(name, available)}"


def name_faults(mdata: MuData, names: list[str]) -> list[str]:
    """Faults of the names in ``mdata``; if there are any, rows cannot be matched to cells."""
    faults = duplicates("mdata.obs_names", mdata.obs_names)
    for name in names:
        adata = mdata.mod[name]
        faults += duplicates(f"mdata['{name}'].obs_names", adata.obs_names)
        faults += duplicates(f"mdata['{name}'].var_names", adata.var_names)
        if adata.n_vars == 0:
            faults.append(f"modality '{name}' has no features. Leave it out with modalities=.")
        elif not _is_indexed(mdata, name):
            what = f"mdata.obsmap['{name}'] no longer fits its obs_names"
            faults.append(f"modality '{name}' was changed after the MuData was made: {what}. Call mdata.update().")
    return faults


def modality_name_faults(name: str) -> list[str]:
    """Whether a modality may have this name."""
    if name in RESERVED or hasattr(nn.ModuleDict(), name):
        why = "it is a reserved word"
    elif found := [character for character in name if character in "./+" or not character.isprintable()]:
        why = f"it holds {found[0]!r}"
    else:
        why = "" if name else "it is empty"
    return [f"modality name {name!r} cannot be used, as {why}. Rename it."] if why else []


def _text_faults(data: AnnData | MuData) -> list[str]:
    """Names that are no text, which anndata makes of them where it can, and without which nothing is copied or written."""
    is_several = isinstance(data, MuData)
    owners = {f"mdata['{n}']": a for n, a in data.mod.items()} if is_several else {"adata": data}
    indexes = {f"{where}.obs_names": adata.obs_names for where, adata in owners.items()}
    indexes |= {f"{where}.var_names": adata.var_names for where, adata in owners.items()}
    then = ", and make the MuData anew" if is_several else ""
    return [
        f"{where} are no text, such as {index[:1].tolist()[0]!r}. Use {where} = {where}.astype(str){then}."
        for where, index in indexes.items()
        if index.inferred_type not in TEXT
    ]


def _own_name_faults(adata: AnnData) -> list[str]:
    """Faults of the names in ``adata``, by which features are found, and no rows are."""
    empty = [] if adata.n_vars else ["adata has no features. Give data with some."]
    return duplicates("adata.var_names", adata.var_names) + empty


def duplicates(where: str, names: pd.Index) -> list[str]:
    """A sentence on names that occur more than once, if there are any."""
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
        for name in getattr(arguments, argument)
        if name not in known
    ]


def _repeated_keys(arguments: SetupArguments) -> list[str]:
    decoders = arguments.batch_key + arguments.categorical_covariate_keys + arguments.continuous_covariate_keys
    return [
        f"key '{key}' is named more than once among {what}. Name it once."
        for keys, what in ((decoders, "batch and covariates"), (arguments.prior_covariate_keys, "prior covariates"))
        for key in dict.fromkeys(k for k in keys if keys.count(k) > 1)
    ]


def _link_faults(data: AnnData | MuData, names: list[str], presence: np.ndarray) -> list[str]:
    """Modalities that no cell has, and groups of modalities that share no cell."""
    absent = [name for name, found in zip(names, presence.T, strict=True) if not found.any()]
    faults = [f"modality '{name}' has no cells. Leave it out with modalities=." for name in absent]
    n_groups, group = connected_components(shared_cells(presence) > 0, directed=False)
    if faults or n_groups == 1 or not presence.any(axis=1).all():
        return faults
    groups = [[n for n, g in zip(names, group, strict=True) if g == k] for k in range(n_groups)]
    advice = "Measure some cells with both, or train a model for each group."
    if pair := _same_features(data, groups):
        advice = f"'{pair[0]}' and '{pair[1]}' share features: make them one modality with a batch_key for the assay "
        advice += "(mmvae.pp.join_features)."
    shown = " and ".join(map(str, groups))
    return [f"no cell connects the modalities {shown}, so nothing can be learnt about how they relate. {advice}"]


def _same_features(data: AnnData | MuData, groups: list[list[str]]) -> tuple[str, str] | None:
    """Two modalities of different groups that have many features in common, if there are such."""
    features = {name: set(adata.var_names) for name, adata in modalities_of(data).items()}
    for left, right in combinations(groups, 2):
        for a, b in product(left, right):
            if len(features[a] & features[b]) >= SHARED_FEATURES * min(len(features[a]), len(features[b])):
                return a, b
    return None


def shared_cells(presence: np.ndarray) -> np.ndarray:
    """Number of cells that have both of each pair of modalities, ``(n_modalities, n_modalities)``."""
    have = presence.astype(np.int64)
    return have.T @ have


def _link_notes(names: list[str], presence: np.ndarray, columns: list[Column]) -> list[str]:
    """Thin bridges between modalities, and batches that coincide with what is missing."""
    shared = shared_cells(presence)
    notes = [
        f"only {shared[i, j]} cells have both '{names[i]}' and '{names[j]}': what one tells of the other rests on them."
        for i, j in combinations(range(len(names)), 2)
        if 0 < shared[i, j] < FEW_BRIDGES
    ]
    for column in columns:
        if column.role == "batch":
            notes += confounding_notes(column, pattern_names(presence, names))
    return notes + prior_covariate_notes(columns)


def prior_covariate_notes(columns: list[Column]) -> list[str]:
    """Say so where a covariate that priors may look at tells the batches apart."""
    batches = [c for c in columns if c.role == "batch" and c.values.nunique() > 1]
    return [
        f"prior covariate '{column.key}' tells the batches of '{batch.key}' apart. A prior that looks at it no longer "
        "keeps the batch out of the latent. Give prior_covariate_keys of biology that occurs in several batches."
        for batch in batches
        for column in columns
        if column.role == "prior_covariate" and _tells_apart(column, batch)
    ]


def _tells_apart(column: Column, batch: Column) -> bool:
    """Whether ``column`` is a part of the batch, or each of its categories lies in one batch."""
    if column.key in batch.key.split("+"):
        return True
    known = column.values.notna() & batch.values.notna()
    codes = batch.values[known].astype(str)
    return bool((codes.groupby(column.values[known].astype(str).to_numpy()).nunique() == 1).all())


def confounding_notes(batch: Column, patterns: np.ndarray) -> list[str]:
    """Say so where every batch has a single missing pattern and patterns differ between batches."""
    by_batch = {str(b): set(patterns[(batch.values == b).to_numpy()]) for b in batch.values.dropna().unique()}
    single = all(len(found) == 1 for found in by_batch.values())
    if len(by_batch) < 2 or len(set(patterns)) < 2 or not single:
        return []
    shown = "; ".join(f"{b}: {next(iter(found))}" for b, found in list(by_batch.items())[:4])
    return [
        f"batch '{batch.key}' coincides with what is missing ({shown}). Differences between these batches cannot be "
        "told from differences between assays; read comparisons across them with care."
    ]
