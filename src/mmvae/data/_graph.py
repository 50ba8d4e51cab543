"""The graph of neighbouring spots. N cells."""

import numpy as np
import scipy.sparse as sp
from anndata import AnnData
from mudata import MuData

from mmvae._keys import CONNECTIVITIES

from ._access import modalities_of, rows_of


def graph_of(data: AnnData | MuData) -> sp.csr_matrix | None:
    """Which cells are neighbours in space, symmetric, without edges of a cell to itself, ``(n_cells, n_cells)``.

    Read from ``obsp["spatial_connectivities"]`` of the data or of the first modality that has it, where
    :func:`mmvae.pp.spatial` and squidpy write it; ``None`` where there is none.
    """
    if CONNECTIVITIES in data.obsp:
        return _clean(sp.csr_matrix(data.obsp[CONNECTIVITIES]))
    for name, adata in modalities_of(data).items():
        if CONNECTIVITIES in adata.obsp:
            graph, rows = sp.coo_matrix(adata.obsp[CONNECTIVITIES]), rows_of(data, name)
            # The cells' numbers in place of the modality's rows.
            cells = np.empty(graph.shape[0], dtype=np.int64)
            cells[rows[rows >= 0]] = np.flatnonzero(rows >= 0)
            size = (len(rows), len(rows))
            return _clean(sp.csr_matrix((graph.data, (cells[graph.row], cells[graph.col])), shape=size))
    return None


def graph_faults(data: AnnData | MuData) -> list[str]:
    """What makes a graph none of neighbours in space."""
    graph = graph_of(data)
    if graph is None:
        return []
    if n_wrong := int((~(graph.data >= 0) | np.isinf(graph.data)).sum()):
        fault = f"{n_wrong:,} weights that are negative or not finite"
    elif n_lone := abs(graph - graph.T).count_nonzero():
        fault = f"{n_lone:,} edges that lead one way only, or with another weight back"
    else:
        return []
    return [f"obsp['{CONNECTIVITIES}'] has {fault}. Make the graph with mmvae.pp.spatial, or as (a + a.T) / 2."]


def within(graph: sp.csr_matrix, members: np.ndarray) -> sp.csr_matrix:
    """The graph with no edges but those between ``members``, boolean, ``(n_cells,)``."""
    keep = sp.diags(members.astype(graph.dtype))
    inside = sp.csr_matrix(keep @ graph @ keep)
    inside.eliminate_zeros()
    return inside


def _clean(graph: sp.csr_matrix) -> sp.csr_matrix:
    graph = graph.astype(np.float32)
    graph.setdiag(0)
    graph.eliminate_zeros()
    return graph
