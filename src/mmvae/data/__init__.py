"""The border between MuData and tensors: checks, registration, minibatches."""

from ._access import modalities_of, numbers_of, pattern_names, presence_of, rows_of
from ._arguments import SetupArguments
from ._blocks import blocks_of, split_groups
from ._columns import Column, resolve_columns
from ._dataset import MosaicDataset
from ._fields import fields_of
from ._graph import graph_faults, graph_of, within
from ._inspect import ModalitySetup, Setup, inspect
from ._kinds import choose_layer
from ._links import confounding_notes, prior_covariate_notes, shared_cells
from ._manager import MosaicManager, inspect_or_raise
from ._matrix import by_rows, is_supported, values_of
from ._split import split_cells
from ._statistics import feature_statistics
from ._table import print_setup

__all__ = [
    "Column",
    "ModalitySetup",
    "MosaicDataset",
    "MosaicManager",
    "Setup",
    "SetupArguments",
    "blocks_of",
    "by_rows",
    "choose_layer",
    "confounding_notes",
    "feature_statistics",
    "fields_of",
    "graph_faults",
    "graph_of",
    "inspect",
    "inspect_or_raise",
    "is_supported",
    "modalities_of",
    "numbers_of",
    "pattern_names",
    "presence_of",
    "print_setup",
    "prior_covariate_notes",
    "resolve_columns",
    "rows_of",
    "shared_cells",
    "split_cells",
    "split_groups",
    "values_of",
    "within",
]
