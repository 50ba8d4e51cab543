"""Faults of other packages that we work around; a test that goes red says that the workaround can go."""

from __future__ import annotations

import numpy as np
import pytest
from scanpy.neighbors._common import _get_indices_distances_from_sparse_matrix
from scipy.sparse import csr_array


@pytest.mark.xfail(
    strict=True, raises=AttributeError, reason="scanpy calls getnnz, which the csr_array of pynndescent 0.7 lacks"
)
def test_scanpy_reads_the_neighbours_that_pynndescent_0_7_returns():
    """Drop `pynndescent<0.7` from pyproject.toml once this passes, and require that scanpy."""
    distances = csr_array(np.array([[0.0, 1.0, 2.0], [1.0, 0.0, 3.0], [2.0, 3.0, 0.0]]))
    _get_indices_distances_from_sparse_matrix(distances, 2)
