"""Who is next to whom on the sections. N spots."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anndata as ad
import scipy.sparse as sp

from ._tissues import SECTION

if TYPE_CHECKING:
    from anndata import AnnData

FIRST_RING = 6


def neighbours(adata: AnnData, n_neighbors: int = FIRST_RING) -> sp.csr_matrix:
    """Ones where two spots are neighbours on a section, symmetric, ``(N, N)``; whole rings of spots on lattices."""
    import mmvae

    places = ad.AnnData(adata.X[:, :1], obs=adata.obs[[SECTION]], obsm={"spatial": adata.obsm["spatial"]})
    found = mmvae.pp.spatial(places, slide_key=SECTION, n_neighbors=n_neighbors)["spatial"]
    rows, edges = adata.obs_names.get_indexer(found.obs_names), sp.coo_matrix(found.obsp["spatial_connectivities"])
    return sp.csr_matrix((edges.data, (rows[edges.row], rows[edges.col])), shape=(adata.n_obs, adata.n_obs))


def averaging(graph: sp.spmatrix) -> sp.csr_matrix:
    """The matrix that takes the mean over neighbours, ``(N, N)``; of a spot without any, that of nobody: 0."""
    return sp.csr_matrix(sp.diags(1 / graph.sum(axis=1).A1.clip(1))) @ graph
