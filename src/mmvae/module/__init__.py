"""The module: encoders, fusion, priors and decoders wired together."""

from ._multivae import MultiVAEModule, covariates_of

__all__ = ["MultiVAEModule", "covariates_of"]
