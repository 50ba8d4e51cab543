"""Whether the modalities can learn of each other: cells that have two of them bridge the two."""

from itertools import combinations, product

import numpy as np
from anndata import AnnData
from mudata import MuData
from scipy.sparse.csgraph import connected_components

from mmvae.data._access import modalities_of, pattern_names

from ._columns import Column

FEW_BRIDGES = 50
SHARED_FEATURES = 0.5


def empty_cell_faults(data: AnnData | MuData, names: list[str], presence: np.ndarray) -> list[str]:
    """Cells that have none of the modalities."""
    empty = ~presence.any(axis=1)
    if not empty.any():
        return []
    example = data.obs_names[int(np.argmax(empty))]
    return [f"{int(empty.sum())} cells, such as '{example}', have none of the modalities {names}. Leave them out."]


def link_faults(data: AnnData | MuData, names: list[str], presence: np.ndarray) -> list[str]:
    """Modalities that no cell has, and groups of modalities that share no cell."""
    faults = [
        f"modality '{name}' has no cells. Leave it out with modalities=."
        for name, found in zip(names, presence.T, strict=True)
        if not found.any()
    ]
    n_groups, group = connected_components(shared_cells(presence) > 0, directed=False)
    if faults or n_groups == 1 or not presence.any(axis=1).all():
        return faults
    groups = [[n for n, g in zip(names, group, strict=True) if g == k] for k in range(n_groups)]
    if pair := _same_features(data, groups):
        advice = (
            f"'{pair[0]}' and '{pair[1]}' share features: make them one modality with a batch_key for the assay "
            "(mmvae.pp.join_features)."
        )
    else:
        advice = "Measure some cells with both, or train a model for each group."
    return [
        f"no cell connects the modalities {' and '.join(str(g) for g in groups)}, so nothing can be learnt about how "
        f"they relate. {advice}"
    ]


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


def link_notes(names: list[str], presence: np.ndarray, columns: list[Column]) -> list[str]:
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
