"""Arrays of simulated data."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = "NDArray[np.float64]"
Labels: TypeAlias = "NDArray[np.int64]"
