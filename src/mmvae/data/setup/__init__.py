"""Inspection of the user's data: what is taken of them, what is wrong, what to watch."""

from ._arguments import SetupArguments
from ._columns import Column, resolve_columns
from ._inspect import inspect
from ._kinds import choose_layer
from ._links import confounding_notes, prior_covariate_notes, shared_cells
from ._result import ModalitySetup, Setup
from ._table import print_setup

__all__ = [
    "Column",
    "ModalitySetup",
    "Setup",
    "SetupArguments",
    "choose_layer",
    "confounding_notes",
    "inspect",
    "prior_covariate_notes",
    "print_setup",
    "resolve_columns",
    "shared_cells",
]
