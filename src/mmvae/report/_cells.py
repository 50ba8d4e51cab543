"""The model's own cells: which of them are read for the page, and what is known of each. C cells."""

import numpy as np
import pandas as pd

from mmvae.data import Column, SetupArguments, pattern_names, presence_of, resolve_columns, some_of
from mmvae.model import MultiVAE
from mmvae.model._reader import Reader

MOST_CELLS = 20_000
# So many stand beneath each other in a legend of scanpy's.
MOST_CATEGORIES = 14
OTHERS = "others"


def sample_of(model: MultiVAE, most: int = MOST_CELLS) -> np.ndarray:
    """Numbers of at most so many cells at random, ascending, always the same ones."""
    n_cells = Reader(model).data().n_obs
    return some_of(n_cells, most)


def described(model: MultiVAE, cells: np.ndarray) -> str:
    """Which cells these are, in words."""
    n_cells = Reader(model).data().n_obs
    return f"all {n_cells:,} cells" if len(cells) == n_cells else f"{len(cells):,} random cells of {n_cells:,}"


def columns_of(model: MultiVAE) -> list[Column]:
    """The columns that were registered."""
    arguments = SetupArguments.of(model.registry_["setup_args"])
    return resolve_columns(Reader(model).data(), arguments, is_query=True)[0]


def column_of(model: MultiVAE, role: str) -> Column | None:
    """The registered column of batches or of labels, if there is one."""
    return next((column for column in columns_of(model) if column.role == role), None)


def patterns_of(model: MultiVAE) -> np.ndarray:
    """What each cell has, in words, ``(C,)``."""
    return pattern_names(presence_of(Reader(model).data(), model.modalities), model.modalities)


def most_frequent(values: pd.Series) -> pd.Series:
    """The same categories, those beyond the most frequent ones together."""
    texts = values.astype(str)
    counts = texts.value_counts()
    if len(counts) <= MOST_CATEGORIES:
        return texts.astype("category")
    return texts.where(texts.isin(counts.index[: MOST_CATEGORIES - 1]), OTHERS).astype("category")
