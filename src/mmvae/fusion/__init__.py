"""Fusions: how the modalities' posteriors become one latent of the cell."""

from ._base import Fusion, Priced
from ._concat import Concatenation
from ._experts import Experts
from ._product import ProductOfExperts

__all__ = ["Concatenation", "Experts", "Fusion", "Priced", "ProductOfExperts"]
