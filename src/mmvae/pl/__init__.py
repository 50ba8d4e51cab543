"""Plots that scanpy does not have."""

from ._contributions import modality_weights
from ._embedding import embedding
from ._history import history
from ._imputation import imputation
from ._loadings import loadings
from ._overview import overview
from ._presence import presence
from ._priors import priors
from ._spatial import spatial
from ._spectrum import shared_spectrum
from ._volcano import volcano

__all__ = [
    "embedding",
    "history",
    "imputation",
    "loadings",
    "modality_weights",
    "overview",
    "presence",
    "priors",
    "shared_spectrum",
    "spatial",
    "volcano",
]
