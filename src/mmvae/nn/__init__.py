"""Networks and the registry mechanism. Torch only."""

from ._calibration import calibrate
from ._component import Component
from ._decoder import CategoryTable, Covariates, Decoder
from ._encoder import Encoder
from ._linear import WideLinear
from ._numerics import draw_category, in_full_precision
from ._predictor import Predictor
from ._sparse import InputLayer, Places, SparseRows, dense, totals
