"""Sections whose regions are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

from benchmarks.spatial._tissues import SECTION

SIDE = 12


@pytest.fixture
def sections() -> AnnData:
    """Two sections of two halves, with one spot of the other half's region in the midst of the first."""
    row, column = np.tile(np.divmod(np.arange(SIDE**2), SIDE), 2)
    half = column >= SIDE // 2
    half[2 * SIDE + 2] = True
    counts = np.random.default_rng(0).poisson(np.where(half[:, None] == (np.arange(20) % 2 == 0), 5.0, 1.0))
    obs = pd.DataFrame(
        {SECTION: np.repeat(["a", "b"], SIDE**2), "region": np.where(half, "right", "left")},
        index=[f"spot{i}" for i in range(len(row))],
    )
    adata = AnnData(
        sp.csr_matrix(counts.astype(np.float32)), obs=obs, obsm={"spatial": np.stack([row, column], axis=1)}
    )
    adata.obs.loc["spot5", "region"] = "undetermined"
    return adata
