"""Inspection of the user's data: what is taken of them, what is wrong, what to watch."""

from ._arguments import SetupArguments
from ._categories import categories, text_of
from ._columns import Column, resolve_columns
from ._feature_types import FEATURE_TYPES, KINDS, feature_types
from ._inspect import inspect
from ._kinds import choose_layer
from ._links import confounding_notes, prior_covariate_notes, shared_cells
from ._names import modality_name_faults, name_faults
from ._reference import feature_faults, inspect_or_raise, known_labels
from ._result import ModalitySetup, Setup
from ._scale import Scale, keep_scales, scales_of
from ._table import print_setup
