"""Which cells to train, validate and test on, by what is held out."""

import warnings

import numpy as np
import pandas as pd
from scvi import REGISTRY_KEYS

from mmvae.data import MosaicManager, blocks_of, graph_of, pattern_names, presence_of, split_cells, split_groups

CELLWISE, BLOCKS = "cells", "blocks"
TRAIN_SIZE = 0.9
NEIGHBORS_LEAK = (
    "The cells to validate on are single ones, whose counts are in their neighbours' sums too, so the validation ELBO "
    "is too good. Leave out split_by, or give split_by='blocks' or the column of the slides."
)


def split(
    manager: MosaicManager, by: str | None, train_size: float | None, validation_size: float | None, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Numbers of the training, validation and test cells, each ascending.

    Held out are ``"cells"``, ``"blocks"`` or what a column of ``obs`` says together, or what suits the data.
    """
    data, train_size = manager.adata, TRAIN_SIZE if train_size is None else train_size
    graph = graph_of(data) if by in (None, CELLWISE, BLOCKS) else None
    by = by or (CELLWISE if graph is None else BLOCKS)
    if by == CELLWISE:
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
        msg = f"Expected split_by as 'cells', 'blocks' or a column of obs, {list(data.obs)}; got '{by}'."
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
