"""The border between MuData and tensors: checks, registration, minibatches."""

from ._access import (
    annotations_of,
    graph_of,
    joined,
    modalities_of,
    numbers_of,
    pattern_names,
    presence_of,
    reach,
    rows_of,
    size_of,
    some_of,
    within,
)
from ._anndata_file import CHUNK, checked_path, new_matrices, new_matrix
from ._dataset import BLOCK_CELLS, BUFFER_CELLS, MosaicDataset, MosaicStream
from ._fields import fields_of
from ._manager import MosaicManager
from ._matrix import BLOCK_VALUES, by_rows, is_on_disk, is_supported, values_of
from ._minified import WAYS, Minification, StoredPosterior
from ._resident import ResidentDataset, placement
from ._split import blocks_of, split_as_given, split_cells, split_groups, split_in_order
from ._splitter import MosaicSplitter
from .setup._arguments import check_setup_arguments
from .setup._columns import Column, SetupArguments, categories, find_column, resolve_columns, text_of
from .setup._inspect import confounding_notes, inspect, modality_name_faults, prior_covariate_notes, shared_cells
from .setup._modality import FEATURE_TYPES, KINDS, Setup, choose_layer, feature_types, kind_of, matrices_of, print_setup
from .setup._reference import check_type, inspect_or_raise, renamed_faults
from .setup._scan import feature_statistics, scan
