"""Domains of tissue, written to the data. C cells, K domains."""

import warnings
from typing import Any, Literal

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from mudata import MuData

from mmvae._checks import COUNT, COUNT_OR_ZERO, SEED, check_is, check_numbers, check_texts, name_faults
from mmvae._keys import CONNECTIVITIES, DOMAIN, FUSED, embedding_key
from mmvae.data import graph_of, reach

from ._partition import by_leiden, by_mixture

METHODS = {"mixture": by_mixture, "leiden": by_leiden}


def domains(
    mdata: MuData | AnnData,
    n_domains: int | None = None,
    *,
    use_rep: str = embedding_key(FUSED),
    method: Literal["mixture", "leiden"] = "mixture",
    smooth: int = 0,
    refine: int = 0,
    key_added: str = DOMAIN,
    random_state: int = 0,
) -> None:
    """Find domains of tissue: clusters of an embedding, over all sections together.

    Parameters
    ----------
    mdata
        Spots or cells with an embedding, such as :func:`mmvae.tl.embed` writes. Everything is computed before anything is
        written.
    n_domains
        How many; by default as many as Leiden finds at resolution 0.2, which needs igraph: that is nearest to what was
        annotated on four sets of sections. The Bayesian information criterion asks for far more.
    use_rep
        The embedding in ``obsm``. Where single cells of many types make up a domain, try ``"X_mmvae_spatial"``: the fused
        latent holds each cell's own type, too. Cells in which it is not a finite number get no domain.
    method
        ``"mixture"``: a Gaussian mixture whose components have one covariance, the likeliest of ten that start from
        k-means, of the principal components with 99.5% of the embedding's variance. ``"leiden"``: communities of the graph
        of 15 nearest cells in the embedding, at the resolution that has ``n_domains``; needs igraph.
    smooth
        How often each cell's place in the embedding is first replaced by its mean with those of its neighbours in space,
        along the graph of :func:`mmvae.pp.spatial`. Domains of single cells of many types are found better by it: ARI 0.80
        in place of 0.73 on STARmap, once over 30 neighbours (two trainings). Spots of Visium gained nothing.
    refine
        Rings of neighbours in space whose most frequent domain a cell takes, along the graph that
        :func:`mmvae.pp.spatial` stores, which never leaves a section; a cell without neighbours keeps its own. 0 is none; 1
        are the six spots around one of Visium's, as in SpaGCN :cite:p:`Hu2021`, which asks for more than half of them; 4 come near to the 50 spots of GraphST
        :cite:p:`Long2023`. What is smaller than the rings is lost.
    key_added
        Column of ``obs`` to write, and key of ``uns`` for how it was found.
    random_state
        Seed of the clusters.

    Returns
    -------
    Nothing. Written are:

    - ``obs[key_added]``: the domain of each cell, a category named by number, ``"0"`` for the largest;
    - ``uns[key_added]``: under ``"params"`` the number of domains and the arguments, and Leiden's ``"resolution"``.

    Raises
    ------
    ImportError
        If igraph is needed and not installed.
    ValueError
        If there is no such embedding, it is the same in all cells, or there are fewer cells than domains, no graph to
        smooth or refine along, or no resolution with so many domains.

    Warns
    -----
    UserWarning
        If cells have no embedding, or no neighbours to smooth or refine by.

    Examples
    --------
    >>> mmvae.tl.embed(model, mdata)
    >>> mmvae.tl.domains(mdata, 7)
    >>> mmvae.pl.spatial(mdata, "mmvae_domain", slide_key="section")
    """
    check_is("mdata", mdata, MuData, AnnData)
    check_texts(use_rep=use_rep, key_added=key_added)
    kinds = {"n_domains": COUNT, "smooth": COUNT_OR_ZERO, "refine": COUNT_OR_ZERO, "random_state": SEED}
    check_numbers(kinds, n_domains=n_domains, smooth=smooth, refine=refine, random_state=random_state)
    points = _points(mdata, use_rep, method)
    graph = _graph(mdata) if smooth or refine else None
    has = np.isfinite(points).all(axis=1)
    n_apart = len(np.unique(points[has], axis=0))
    if n_apart < (least := max(n_domains or 2, 2)):
        msg = f"Expected at least {least} cells that differ in '{use_rep}', as many as domains; got {n_apart}."
        raise ValueError(msg)
    if graph is not None and smooth:
        points[has] = _smoothed(points[has], graph[has][:, has], smooth)
    partition = METHODS[method](points[has], n_domains, random_state)
    codes = np.full(mdata.n_obs, -1)
    codes[has] = partition.clusters
    if graph is not None and refine:
        codes = _refined(codes, graph, refine)
    params: dict[str, Any] = {"n_domains": len(np.unique(codes[codes >= 0])), "use_rep": use_rep, "method": method}
    params |= {"smooth": smooth, "refine": refine, "random_state": random_state}
    for note in _notes(has, graph, use_rep):
        warnings.warn(note, UserWarning, stacklevel=2)
    mdata.obs[key_added] = _named(codes)
    mdata.uns[key_added] = {"params": params}
    if partition.resolution is not None:
        mdata.uns[key_added]["resolution"] = partition.resolution


def _points(mdata: MuData | AnnData, use_rep: str, method: str) -> np.ndarray:
    """The embedding, ``(n_cells, n_dimensions)``; ``ValueError`` if it or the method is unknown."""
    faults = name_faults({"method": METHODS}, method=method)
    masks = mdata.mod if isinstance(mdata, MuData) else {}
    if use_rep not in (known := [key for key in mdata.obsm if key not in masks]):
        faults.append(f"Expected use_rep as one of {known}; got {use_rep!r}. mmvae.tl.embed writes embeddings.")
    if faults:
        raise ValueError(" ".join(faults))
    found = mdata.obsm[use_rep]
    return np.array(found.toarray() if sp.issparse(found) else found, dtype=np.float64)


def _graph(mdata: MuData | AnnData) -> sp.csr_matrix:
    graph = graph_of(mdata)
    if graph is None:
        msg = f"Expected neighbours in space in obsp['{CONNECTIVITIES}'] to smooth or refine by; got none. Make them with mmvae.pp.spatial."
        raise ValueError(msg)
    return graph


def _notes(has: np.ndarray, graph: sp.csr_matrix | None, use_rep: str) -> list[str]:
    """What a user should know of cells without an embedding and without neighbours, a sentence each."""
    notes = []
    if n_lost := int((~has).sum()):
        notes.append(f"{_cells(n_lost)} no finite '{use_rep}' and get no domain.")
    # Neighbours without an embedding have neither a place to average nor a domain to take.
    if graph is not None and (n_lone := int((np.diff(graph[has][:, has].indptr) == 0).sum())):
        notes.append(
            f"{_cells(n_lone)} no neighbours in space with '{use_rep}'; they are neither smoothed nor refined."
        )
    return notes


def _cells(n_cells: int) -> str:
    return "1 cell has" if n_cells == 1 else f"{n_cells:,} cells have"


def _smoothed(points: np.ndarray, graph: sp.csr_matrix, times: int) -> np.ndarray:
    """Means over each cell and its neighbours, so many times, ``(C, D)``."""
    around = (graph > 0).astype(np.float64) + sp.eye(len(points), format="csr")
    mean = sp.diags(1 / np.asarray(around.sum(axis=1)).ravel()) @ around
    for _ in range(times):
        points = mean @ points
    return points


def _refined(codes: np.ndarray, graph: sp.csr_matrix, n_rings: int) -> np.ndarray:
    """The most frequent of the neighbours' domains, a cell's own where it is one of these or there are none, ``(C,)``."""
    has = np.flatnonzero(codes >= 0)
    each = sp.csr_matrix((np.ones(len(has)), (has, codes[has])), shape=(len(codes), codes.max() + 1))
    votes = (reach(graph, n_rings) @ each).toarray()
    # Less than a whole vote: it decides between equals.
    votes[has, codes[has]] += 0.5
    return np.where((codes >= 0) & votes.any(axis=1), votes.argmax(axis=1), codes)


def _named(codes: np.ndarray) -> pd.Categorical:
    """Domains by number, the largest first; missing where a code is -1."""
    sizes = np.bincount(codes[codes >= 0])
    order = np.argsort(-sizes, kind="stable")[: np.count_nonzero(sizes)]
    rank = np.full(len(sizes) + 1, -1)
    rank[order] = np.arange(len(order))
    return pd.Categorical.from_codes(rank[codes], pd.Index([str(k) for k in range(len(order))], dtype=object))
