"""Graph networks that are trained on one section at a time, with their own defaults, on the genes that all are given.

They are not among this package's dependencies: ``pip install graphst-modern stagate-modern`` brings the first two, and
SpaceFlow 1.0.4 is of the time of networkx 2: ``pip install --no-deps spaceflow "networkx<3" gudhi cmcrameri``.
N spots, D dimensions.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import scanpy as sc
import scipy.sparse as sp
from sklearn.decomposition import PCA

from ._graph import FIRST_RING
from ._tissues import SECTION
from ._untrained import DEPTH_TOTAL, N_COMPONENTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from anndata import AnnData


def by_section(
    trained: AnnData, shown: AnnData, seed: int, *, embed: Callable[[AnnData, int], np.ndarray]
) -> np.ndarray:
    """Each section's embedding of itself, ``(N, D)``; what they have in common is the number of dimensions alone."""
    sections, places = shown.obs[SECTION].to_numpy(dtype=str), {}
    for section in np.unique(sections):
        rows = np.flatnonzero(sections == section)
        places[section] = rows, embed(shown[rows].copy(), seed)
    width = max(found.shape[1] for _, found in places.values())
    together = np.zeros((shown.n_obs, width), dtype=np.float32)
    for rows, found in places.values():
        together[rows, : found.shape[1]] = found
    return together


def graphst(adata: AnnData, seed: int) -> np.ndarray:
    """Principal components of GraphST's reconstruction, as its tutorials cluster."""
    from GraphST.GraphST import GraphST

    sc.pp.normalize_total(_dense(adata), target_sum=DEPTH_TOTAL)
    sc.pp.log1p(adata)
    sc.pp.scale(adata, zero_center=False, max_value=10)
    adata.var["highly_variable"] = True
    model = GraphST(adata, random_seed=seed)
    # Of six neighbours among thousands of spots: the same products, without the zeros.
    model.adj = model.adj.to_sparse()
    found = model.train().obsm["emb"]
    return PCA(N_COMPONENTS, random_state=seed).fit_transform(found)


def stagate(adata: AnnData, seed: int) -> np.ndarray:
    """STAGATE's latent, on a graph of the six nearest spots."""
    from STAGATE_pyG import Cal_Spatial_Net, train_STAGATE

    sc.pp.normalize_total(adata, target_sum=DEPTH_TOTAL)
    sc.pp.log1p(adata)
    adata.var["highly_variable"] = True
    Cal_Spatial_Net(adata, k_cutoff=FIRST_RING, model="KNN", verbose=False)
    return train_STAGATE(adata, random_seed=seed, verbose=False).obsm["STAGATE"]


def spaceflow(adata: AnnData, seed: int) -> np.ndarray:
    """SpaceFlow's latent, with all genes for variable ones."""
    from SpaceFlow.SpaceFlow import SpaceFlow

    model = SpaceFlow(adata=_dense(adata))
    model.preprocessing_data(n_top_genes=adata.n_vars)
    with TemporaryDirectory() as folder:
        return model.train(embedding_save_filepath=str(Path(folder) / "found.tsv"), random_seed=seed)


def _dense(adata: AnnData) -> AnnData:
    adata.X = sp.csr_matrix(adata.X).toarray()
    return adata
