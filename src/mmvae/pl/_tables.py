"""Values of cells by features, as a DataFrame or as an AnnData."""

from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import scipy.sparse as sp
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
    values = (
        table[feature] if isinstance(table, pd.DataFrame) else flat(table.X[:, [features_of(table).get_loc(feature)]])
    )
    return pd.Series(np.asarray(values), index=cells_of(table), dtype=float)


def flat(column: Any) -> np.ndarray:
    """A matrix of one column, dense or sparse, as an array."""
    return np.asarray(column.toarray() if sp.issparse(column) else column).ravel().astype(float)
