"""Inspection of the user's data: what is taken of them, what is wrong, what to watch."""

from ._arguments import SetupArguments
from ._categories import categories, text_of
from ._columns import Column, Role, Scale, keep_scales, resolve_columns, scales_of
from ._inspect import inspect, modality_name_faults, name_faults
from ._kinds import FEATURE_TYPES, KINDS, choose_layer, feature_types
from ._links import confounding_notes, prior_covariate_notes, shared_cells
from ._reference import feature_faults, inspect_or_raise, known_labels
from ._result import ModalitySetup, Setup, print_setup
from ._scan import scan
