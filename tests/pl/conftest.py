"""A mosaic whose plots can be foretold, and how images are compared."""

from __future__ import annotations

import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from mudata import MuData

from mmvae._compat import unpulled

N = 60
HAS_RNA, HAS_PROTEIN = np.arange(48), np.arange(20, N)


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


@pytest.fixture
def mosaic() -> MuData:
    """Sixty cells in three clusters: the first twenty have rna alone, the last twelve protein alone, the others both."""
    generator = np.random.default_rng(0)
    cells = pd.Index([f"c{i}" for i in range(N)])
    cluster = np.arange(N) % 3
    rna = generator.poisson(1 + 4 * (cluster[:, None] == np.arange(4))).astype(np.float32)
    protein = generator.poisson(3 + 20 * (cluster[:, None] == np.arange(2))).astype(np.float32)
    # Rows of a modality need not be in the order of the cells.
    mixed = generator.permutation(HAS_PROTEIN)
    modalities = {
        "rna": AnnData(
            sp.csr_matrix(rna[HAS_RNA]),
            pd.DataFrame(index=cells[HAS_RNA]),
            pd.DataFrame(index=["CD4", "MS4A1", "NKG7", "LYZ"]),
        ),
        "protein": AnnData(protein[mixed], pd.DataFrame(index=cells[mixed]), pd.DataFrame(index=["CD4", "CD19"])),
    }
    with unpulled(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that both modalities have
        found = MuData(modalities)
        found = found[cells].copy()
    found.obs["cluster"] = pd.Categorical(np.array(["B", "T", "NK"])[cluster])
    found.obs["batch"] = pd.Categorical(np.where(np.arange(N) < 30, "one", "two"))
    found.obsm["X_umap"] = np.array([[0, 0], [4, 0], [2, 3]])[cluster] + generator.normal(scale=0.5, size=(N, 2))
    return found
