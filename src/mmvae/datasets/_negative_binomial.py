r"""Negative binomial counts, of variance :math:`\mu + \mu^2 / \theta`. N cells or spots, G features."""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from ._typing import Floats


def draw_dense(rng: Generator, means: Floats, dispersion: float) -> NDArray[np.int64]:
    """Counts around ``means``, both ``(N, G)``."""
    return rng.poisson(rng.gamma(dispersion, means / dispersion))


def draw_sparse(rng: Generator, means: NDArray[np.float32], dispersion: float) -> csr_matrix:
    r"""Counts around ``means``, both ``(N, G)``, as ``float32``: quicker than dense ones where most are zero.

    The events of a Poisson process of rate :math:`\lambda` before time 1 number 1 if the first is among them, plus
    those after it: only where it is, the rest need be drawn. Time is measured in units in which the rate is 1.
    """
    rates = rng.standard_gamma(dispersion, means.shape, dtype=np.float32)
    rates *= means / dispersion
    first = rng.standard_exponential(means.shape, dtype=np.float32)
    row, column = np.nonzero(first < rates)
    counts = 1.0 + rng.poisson(rates[row, column] - first[row, column])
    ends = np.searchsorted(row, np.arange(len(means) + 1))
    return csr_matrix((counts.astype(np.float32), column.astype(np.int32), ends.astype(np.int32)), shape=means.shape)
