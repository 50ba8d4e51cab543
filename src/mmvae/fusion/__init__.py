"""Fusions: how the modalities' posteriors become one latent of the cell."""

from ._attention import Attention
from ._base import Coupling, Fusion, Priced
from ._concat import Concatenation
from ._experts import Experts
from ._joint import JointPosterior, MixtureOfExperts, MixtureOfProducts, ProductOfExperts
from ._posteriors import ObservedDims, Posteriors

__all__ = [
    "Attention",
    "Concatenation",
    "Coupling",
    "Experts",
    "Fusion",
    "JointPosterior",
    "MixtureOfExperts",
    "MixtureOfProducts",
    "ObservedDims",
    "Posteriors",
    "Priced",
    "ProductOfExperts",
]
