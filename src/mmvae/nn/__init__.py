"""Networks and the registry mechanism. Torch only."""

from ._component import Component
from ._covariates import Covariates
from ._decoder import Decoder
from ._draw import draw_category
from ._encoder import Encoder
from ._precision import in_full_precision
from ._predictor import Predictor
from ._sparse import InputLayer, SparseRows, dense, sparse_product
from ._table import CategoryTable

__all__ = [
    "CategoryTable",
    "Component",
    "Covariates",
    "Decoder",
    "Encoder",
    "InputLayer",
    "Predictor",
    "SparseRows",
    "dense",
    "draw_category",
    "in_full_precision",
    "sparse_product",
]
