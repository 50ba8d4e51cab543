"""The model: what a user calls."""

from ._multivae import MultiVAE

__all__ = ["MultiVAE"]
