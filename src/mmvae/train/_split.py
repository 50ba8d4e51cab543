"""Which cells to train, validate and test on, by what is held out."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scvi import REGISTRY_KEYS

from mmvae._checks import check_texts, near
from mmvae.data import (
    MosaicManager,
    blocks_of,
    graph_of,
    pattern_names,
    presence_of,
    split_as_given,
    split_cells,
    split_groups,
    split_in_order,
)

CELLWISE, BLOCKS = "cells", "blocks"
TRAIN_SIZE = 0.9
NEIGHBORS_LEAK = (
    "The cells to validate on are single ones, whose counts are in their neighbours' sums too, so the validation ELBO "
    "is too good. Leave out split_by, or give split_by='blocks' or the column of the slides."
)


@dataclass(frozen=True)
class HeldOut:
    """What the user asks to hold out: ``by`` what, in which shares, at random or in order; or the cells themselves.

    ``by`` is ``"cells"``, ``"blocks"``, a column of ``obs``, or ``None`` for what suits the data. ``parts`` are the numbers
    of the training, validation and test cells, instead of all else.
    """

    by: str | None = None
    train_size: float | None = None
    validation_size: float | None = None
    shuffle: bool = True
    parts: Sequence[Any] | None = None

    def __post_init__(self) -> None:
        check_texts(split_by=self.by)
        if not self.shuffle and self.by not in (None, CELLWISE):
            msg = f"Expected shuffle_set_split=False without split_by; got split_by={self.by!r}. Leave one of them out."
            raise ValueError(msg)
        if self.parts is not None and len(self.given) > 1:
            msg = f"Expected external_indexing by itself; got {' and '.join(self.given)}. Leave one of them out."
            raise ValueError(msg)

    @property
    def given(self) -> list[str]:
        """Names of the arguments of ``train`` that ask for something."""
        asked: dict[str, Any] = {
            "split_by": self.by,
            "train_size": self.train_size,
            "validation_size": self.validation_size,
        }
        asked |= {"shuffle_set_split": None if self.shuffle else False, "external_indexing": self.parts}
        return [name for name, value in asked.items() if value is not None]


def split(manager: MosaicManager, held_out: HeldOut, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Numbers of the training, validation and test cells, each ascending."""
    data, by, validation_size = manager.adata, held_out.by, held_out.validation_size
    train_size = TRAIN_SIZE if held_out.train_size is None else held_out.train_size
    graph = graph_of(data) if by in (None, CELLWISE, BLOCKS) else None
    by = by or (CELLWISE if graph is None else BLOCKS)
    if held_out.parts is not None:
        parts = split_as_given(held_out.parts, data.n_obs)
    elif not held_out.shuffle:
        parts = split_in_order(data.n_obs, train_size, validation_size)
    elif by == CELLWISE:
        if graph is not None and train_size < 1:
            warnings.warn(NEIGHBORS_LEAK, UserWarning, stacklevel=3)
        parts = split_cells(_strata(manager), train_size, validation_size, seed)
    elif by == BLOCKS:
        if graph is None:
            msg = "Expected data with a graph of neighbours for split_by='blocks'; got none. See mmvae.pp.spatial."
            raise ValueError(msg)
        parts = split_groups(*blocks_of(graph, seed), train_size, validation_size, seed)
    elif by in data.obs:
        groups = pd.factorize(data.obs[by], use_na_sentinel=False)[0]
        parts = split_groups(groups, np.zeros(len(groups), dtype=int), train_size, validation_size, seed)
    else:
        msg = f"Expected split_by as 'cells', 'blocks' or a column of obs, {list(data.obs)}; got '{by}'.{near(by, data.obs)}"
        raise ValueError(msg)
    if len(parts[0]) == 0:
        msg = f"Expected a train_size that leaves cells to train on; got {train_size} of {data.n_obs} cells. Raise it."
        raise ValueError(msg)
    return parts


def _strata(manager: MosaicManager) -> np.ndarray:
    """Missing pattern and batch of each cell, as one number, ``(n_cells,)``."""
    batch = np.asarray(manager.get_from_registry(REGISTRY_KEYS.BATCH_KEY)).ravel()
    patterns = pattern_names(presence_of(manager.adata, manager.names), manager.names)
    return np.unique([f"{p} {b}" for p, b in zip(patterns, batch, strict=True)], return_inverse=True)[1]
