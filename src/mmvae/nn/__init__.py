"""Networks and the registry mechanism. Torch only."""

from ._component import Component
from ._decoder import Covariates, Decoder
from ._encoder import Encoder
from ._predictor import Predictor

__all__ = ["Component", "Covariates", "Decoder", "Encoder", "Predictor"]
