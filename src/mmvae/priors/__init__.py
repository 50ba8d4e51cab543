"""Priors: what a latent is expected to look like before its cell is seen."""

from ._base import PosteriorSample, Prior, PriorContext
from ._gaussian import Gaussian, StandardNormal
from ._mixture import MixtureOfGaussians
from ._vamp import VampPrior

__all__ = [
    "Gaussian",
    "MixtureOfGaussians",
    "PosteriorSample",
    "Prior",
    "PriorContext",
    "StandardNormal",
    "VampPrior",
]
