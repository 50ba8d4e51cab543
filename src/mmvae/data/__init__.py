"""The border between MuData and tensors: checks, registration, minibatches."""

from ._access import modalities_of, numbers_of, pattern_names, presence_of, rows_of
from ._dataset import MosaicDataset
from ._graph import graph_faults, graph_of, within
from ._manager import MosaicManager, fields_of
from ._matrix import BLOCK_VALUES, by_rows, is_supported, values_of
from ._split import blocks_of, split_cells, split_groups
from ._statistics import feature_statistics
from .setup import (
    FEATURE_TYPES,
    KINDS,
    Column,
    ModalitySetup,
    Setup,
    SetupArguments,
    choose_layer,
    confounding_notes,
    feature_types,
    inspect,
    inspect_or_raise,
    modality_name_faults,
    print_setup,
    prior_covariate_notes,
    resolve_columns,
    scan,
    shared_cells,
    text_of,
)
