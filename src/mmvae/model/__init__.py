"""The model: what a user calls."""

from ._datamodule import MosaicDataModule
from ._multivae import MultiVAE

__all__ = ["MosaicDataModule", "MultiVAE"]
