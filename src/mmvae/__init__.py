"""Multi-encoder variational autoencoder with a learned prior for each modality."""

from importlib.metadata import version

from . import datasets, fusion, likelihoods, priors
from ._errors import SetupError, TrainingDivergedError
from .model import MultiVAE

__all__ = ["MultiVAE", "SetupError", "TrainingDivergedError", "datasets", "fusion", "likelihoods", "priors"]

__version__ = version("mmvae")
