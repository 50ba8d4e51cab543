"""Fusions: how the modalities' posteriors become one latent of the cell."""

import warnings
from typing import Any

from ._attention import Attention
from ._base import Fusion, JointPrior, LatentDraw, PriorTerm
from ._concat import Concatenation
from ._joint import JointPosterior, MixtureOfExperts, MixtureOfProducts, ProductOfExperts
from ._posteriors import ALL_PATTERNS_UP_TO as ALL_PATTERNS_UP_TO
from ._posteriors import ObservedDims, Posteriors

__all__ = [
    "Attention",
    "Concatenation",
    "Fusion",
    "JointPosterior",
    "JointPrior",
    "LatentDraw",
    "MixtureOfExperts",
    "MixtureOfProducts",
    "ObservedDims",
    "Posteriors",
    "PriorTerm",
    "ProductOfExperts",
]

_RENAMED = {"Coupling": JointPrior, "Experts": Posteriors, "Priced": PriorTerm}


def __getattr__(name: str) -> Any:
    """Names of version 0.1, for one more release."""
    if name in _RENAMED:
        new = _RENAMED[name]
        warnings.warn(f"mmvae.fusion.{name} is now {new.__name__}; the old name goes.", FutureWarning, stacklevel=2)
        return new
    msg = f"module '{__name__}' has no attribute '{name}'"
    raise AttributeError(msg)
