"""Normalised values of each modality and their principal components, the input of the linear methods.

C cells, G features, D components.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp
from sklearn.decomposition import PCA, TruncatedSVD

from benchmarks.inputs import rows

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

N_COMPONENTS = 30
N_VARIABLE = 2_000
DEPTH_TOTAL = 1e4
DEPTH_CORRELATION = 0.5


def components(mdata: MuData) -> dict[str, np.ndarray]:
    """Components of each modality over the cells that have it, ``(C_m, D_m)``, centred."""
    return {name: _block(name, adata) for name, adata in mdata.mod.items()}


def concatenated(mdata: MuData, blocks: dict[str, np.ndarray]) -> np.ndarray:
    """All blocks side by side, ``(C, sum of D_m)``, each of total variance 1.

    A cell without a modality takes the block's mean, zero.
    """
    columns = []
    for name, block in blocks.items():
        own = rows(mdata, name)
        filled = np.zeros((mdata.n_obs, block.shape[1]))
        filled[own >= 0] = (block / np.sqrt(block.var(axis=0).sum()))[own[own >= 0]]
        columns.append(filled)
    return np.concatenate(columns, axis=1)


def normalised(name: str, adata: AnnData) -> np.ndarray | sp.csr_matrix:
    """Values of a modality as linear methods want them, ``(C_m, G_m)``; sparse for atac.

    Log-normalised rna of the most variable genes, centred log-ratios of protein, log TF-IDF of atac; z-scores of what
    is not counts.
    """
    values = sp.csr_matrix(adata.X, dtype=np.float64)
    if not np.array_equal(values.data, np.round(values.data)):
        return standardised(values.toarray())
    kinds = {"rna": _rna, "protein": _protein, "atac": _atac}
    return kinds[name](values)


def standardised(values: np.ndarray) -> np.ndarray:
    """Each feature with mean 0 and, unless it is constant, variance 1."""
    spread = values.std(axis=0)
    return (values - values.mean(axis=0)) / np.where(spread > 0, spread, 1)


def _block(name: str, adata: AnnData) -> np.ndarray:
    values = normalised(name, adata)
    return _semantic(values, adata) if sp.issparse(values) else _principal(values)


def _rna(counts: sp.csr_matrix) -> np.ndarray:
    logged = _per_total(counts, DEPTH_TOTAL).log1p()
    if logged.shape[1] > N_VARIABLE:
        logged = logged[:, _most_variable(counts)]
    return logged.toarray()


def _protein(counts: sp.csr_matrix) -> np.ndarray:
    logged = np.log1p(counts.toarray())
    return logged - logged.mean(axis=1, keepdims=True)


def _atac(counts: sp.csr_matrix) -> sp.csr_matrix:
    in_cells = np.maximum(np.asarray((counts > 0).sum(axis=0)).ravel(), 1)
    weighted = _per_total(counts, 1.0) @ sp.diags(counts.shape[0] / in_cells)
    return sp.csr_matrix(weighted * DEPTH_TOTAL).log1p()


def _semantic(values: sp.csr_matrix, adata: AnnData) -> np.ndarray:
    """Latent semantic indexing; the first component is dropped where it is sequencing depth."""
    scores = TruncatedSVD(N_COMPONENTS + 1, random_state=0).fit_transform(values)
    depth = np.log1p(np.asarray(adata.X.sum(axis=1)).ravel())
    tied = abs(np.corrcoef(scores[:, 0], depth)[0, 1]) > DEPTH_CORRELATION
    kept = scores[:, 1:] if tied else scores[:, :-1]
    return kept - kept.mean(axis=0)


def _per_total(counts: sp.csr_matrix, total: float) -> sp.csr_matrix:
    sums = np.asarray(counts.sum(axis=1)).ravel()
    return sp.csr_matrix(sp.diags(total / np.where(sums > 0, sums, 1)) @ counts)


def _most_variable(counts: sp.csr_matrix) -> np.ndarray:
    import anndata as ad
    import scanpy as sc

    adata = ad.AnnData(counts.copy())
    found = sc.pp.highly_variable_genes(adata, flavor="seurat_v3", n_top_genes=N_VARIABLE, inplace=False)
    return found["highly_variable"].to_numpy()


def _principal(values: np.ndarray) -> np.ndarray:
    n_components = min(N_COMPONENTS, *(n - 1 for n in values.shape))
    return PCA(n_components, random_state=0).fit_transform(values)
