"""The public methods of a trained model, by what they are about; each calls a readout."""

from ._base import Readouts
from ._expression import ExpressionMethods
from ._latent import LatentMethods

__all__ = ["ExpressionMethods", "LatentMethods", "Readouts"]
