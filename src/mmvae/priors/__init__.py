"""Priors: densities of the latents, learned with the model."""

from mmvae.graph import CellGraph

from ._base import PosteriorSample, Prior, PriorContext
from ._conditional import Conditional
from ._coupled import CoupledPrior
from ._flow import Flow
from ._gaussian import Gaussian, StandardNormal
from ._gmrf import GaussianMarkovField
from ._labels import LabelledMixture
from ._mixture import MixtureOfGaussians
from ._mmvm import MMVM
from ._vamp import VampPrior

__all__ = [
    "MMVM",
    "CellGraph",
    "Conditional",
    "CoupledPrior",
    "Flow",
    "Gaussian",
    "GaussianMarkovField",
    "LabelledMixture",
    "MixtureOfGaussians",
    "PosteriorSample",
    "Prior",
    "PriorContext",
    "StandardNormal",
    "VampPrior",
]
