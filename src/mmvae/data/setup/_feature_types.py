"""What the features of a matrix are, in the words of 10x Genomics' files."""

from typing import Literal

import pandas as pd
from anndata import AnnData

Kind = Literal["rna", "atac", "protein", "spatial", "other"]

FEATURE_TYPES = "feature_types"
KINDS: dict[str, Kind] = {"Gene Expression": "rna", "Peaks": "atac", "Antibody Capture": "protein"}


def feature_types(adata: AnnData) -> pd.Series:
    """Number of features of each type that ``var["feature_types"]`` names, most first; empty without such a column."""
    if FEATURE_TYPES not in adata.var:
        return pd.Series(dtype=int)
    return adata.var[FEATURE_TYPES].dropna().astype(str).value_counts()


def feature_type_faults(name: str, adata: AnnData, where: str) -> list[str]:
    """Features of several types in one modality; ``where`` is its place in the user's object."""
    counts = feature_types(adata)
    if len(counts) < 2:
        return []
    shown = ", ".join(f"{n:,} of '{feature_type}'" for feature_type, n in counts.items())
    return [
        f"modality '{name}' mixes feature types: {shown}. mmvae.pp.split_modalities({where}) makes a modality of each; "
        f"drop var['{FEATURE_TYPES}'] to model them as one."
    ]
