"""Simulated counts of any size, and cells again and again.

For speed it is of no matter what cells hold, but how many counts, and in how many features. C cells, F features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp

from benchmarks import inputs

if TYPE_CHECKING:
    from mudata import MuData

# More cells than these are the same ones again and again.
MOST_DRAWN = 20_000
N_TYPES = 8
RATE_SPREAD, DEPTH_SPREAD = 2.0, 0.4
# Counts of a cell, whatever the number of features: of genes and peaks about as in 10x Genomics' kits.
DEPTH = {"rna": 1_100, "atac": 3_000, "protein": 6_000}
TYPE = "cell_type"
# Beside a growing number of peaks.
N_GENES = 2_000


@dataclass(frozen=True)
class Size:
    """Numbers of cells and of features of each modality, which is left out if it has none."""

    n_cells: int
    rna: int
    atac: int = 0
    protein: int = 0


def simulated(size: Size, seed: int = 0) -> MuData:
    """Cells of eight types, whose features differ in their rates; sparse but for protein."""
    rng = np.random.default_rng(seed)
    n_drawn = min(size.n_cells, MOST_DRAWN)
    cell_type = rng.integers(N_TYPES, size=n_drawn)
    obs = pd.DataFrame({TYPE: [f"type{number}" for number in cell_type]}, index=names(n_drawn))
    modalities = {}
    for name, depth in DEPTH.items():
        if n_features := getattr(size, name):
            draw = dense_counts if name == "protein" else sparse_counts
            modalities[name] = ad.AnnData(draw(rng, cell_type, n_features, depth), obs=obs.copy())
            modalities[name].var_names = [f"{name}{number}" for number in range(n_features)]
    mdata = inputs.joined(modalities)
    return mdata if n_drawn == size.n_cells else repeated(mdata, size.n_cells)


def sparse_counts(rng: np.random.Generator, cell_type: np.ndarray, n_features: int, depth: float) -> sp.csr_matrix:
    """Multinomial counts of cells whose depth is log-normal around ``depth``, ``(C, F)``, count by count."""
    depths = rng.poisson(_depths(rng, len(cell_type), depth))
    features = np.empty(depths.sum(), dtype=np.int32)
    owner = np.repeat(np.arange(len(cell_type), dtype=np.int32), depths)
    for number in range(N_TYPES):
        own = cell_type[owner] == number
        ends = _rates(rng, n_features).cumsum()
        # Beyond the last end by no more than rounding.
        features[own] = np.searchsorted(ends, rng.random(own.sum())).clip(max=n_features - 1)
    shape = len(cell_type), n_features
    return sp.csr_matrix((np.ones(len(owner), dtype=np.float32), (owner, features)), shape=shape)


def dense_counts(rng: np.random.Generator, cell_type: np.ndarray, n_features: int, depth: float) -> np.ndarray:
    """Poisson counts of the same kind, ``(C, F)``, value by value."""
    rates = np.stack([_rates(rng, n_features) for _ in range(N_TYPES)])
    return rng.poisson(_depths(rng, len(cell_type), depth)[:, None] * rates[cell_type]).astype(np.float32)


def _depths(rng: np.random.Generator, n_cells: int, depth: float) -> np.ndarray:
    return depth * rng.lognormal(-(DEPTH_SPREAD**2) / 2, DEPTH_SPREAD, n_cells)


def _rates(rng: np.random.Generator, n_features: int) -> np.ndarray:
    rates = rng.lognormal(0.0, RATE_SPREAD, n_features)
    return rates / rates.sum()


def repeated(mdata: MuData, n_cells: int) -> MuData:
    """The cells of complete ``mdata`` again and again, until there are ``n_cells``."""
    chosen = np.arange(n_cells) % mdata.n_obs
    obs = mdata.obs.iloc[chosen].set_axis(names(n_cells))
    modalities = {
        name: ad.AnnData(adata.X[inputs.rows(mdata, name)[chosen]], obs=obs.copy(), var=adata.var[[]].copy())
        for name, adata in mdata.mod.items()
    }
    return inputs.joined(modalities)


def names(n_cells: int) -> list[str]:
    """Names for cells."""
    return [f"cell{number}" for number in range(n_cells)]
