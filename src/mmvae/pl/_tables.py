"""Values of cells by features, as a DataFrame or as an AnnData."""

from typing import TypeAlias

import pandas as pd
from anndata import AnnData

Table: TypeAlias = pd.DataFrame | AnnData


def cells_of(table: Table) -> pd.Index:
    """Names of the cells."""
    return table.index if isinstance(table, pd.DataFrame) else table.obs_names


def features_of(table: Table) -> pd.Index:
    """Names of the features."""
    return table.columns if isinstance(table, pd.DataFrame) else table.var_names


def column_of(table: Table, feature: str) -> pd.Series:
    """Values of one feature, by cell."""
    values = table[feature].to_numpy() if isinstance(table, pd.DataFrame) else table.obs_vector(feature)
    return pd.Series(values, index=cells_of(table), dtype=float)
