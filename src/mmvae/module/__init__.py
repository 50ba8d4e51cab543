"""The module: encoders, fusion, priors and decoders wired together."""

from ._annotations import covariates_of
from ._multivae import MultiVAEModule

__all__ = ["MultiVAEModule", "covariates_of"]
