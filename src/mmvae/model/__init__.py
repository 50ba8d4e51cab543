"""The model: what a user calls."""

from ._datamodule import MosaicDataModule
from ._multivae import MultiVAE
from .readouts import Diagnosis

__all__ = ["Diagnosis", "MosaicDataModule", "MultiVAE"]
