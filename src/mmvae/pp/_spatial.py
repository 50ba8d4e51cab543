"""Spots and their surroundings as two modalities. N spots, G genes."""

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from mudata import MuData

from mmvae._checks import check_is, check_texts
from mmvae._compat import unpulled
from mmvae._errors import SetupError
from mmvae._keys import CONNECTIVITIES, DEFAULTS, DISTANCES, NEIGHBORS, RNA, SPATIAL
from mmvae.data import by_rows, choose_layer, scan, values_of

from ._spatial_input import (
    matrix_faults,
    number_and_name_faults,
    place_faults,
    place_notes,
    places_of,
    slides_of,
    table_of,
)
from ._spot_graph import spot_graph

if TYPE_CHECKING:
    from spatialdata import SpatialData


def spatial(
    data: "AnnData | SpatialData",
    *,
    spatial_key: str = SPATIAL,
    slide_key: str | None = None,
    n_neighbors: int | None = None,
    radius: float | None = None,
    n_rings: int = 1,
    layer: str | None = None,
    features: Mapping[str, str] | None = None,
    table: str | None = None,
) -> MuData:
    """Make a MuData of spots, their surroundings, and what else was measured of them.

    Every spot gets a second modality, the counts of its neighbours summed, itself left out, so that a model can learn
    niches apart from what a spot holds of its own. Nothing of ``data`` is changed, and its matrices are not copied.

    Choose genes beforehand, such as 3,000 that vary (:func:`scanpy.pp.highly_variable_genes`): sums over neighbours have about
    three times as many non-zeros as the counts. With all 17,860 genes of 91,470 simulated Visium spots memory peaked at
    6.3 GB (``benchmarks/spatial/pdac.py``).

    Parameters
    ----------
    data
        Spots with counts and, in ``obsm``, their places; an AnnData, or a SpatialData with such a table.
    spatial_key
        Where the places are in ``obsm``, ``(n_spots, 2)`` or ``(n_spots, 3)``.
    slide_key
        Column of ``obs`` that names the slide, section or field of view: neighbours are spots of the same one. By default
        all spots are on one slide; of a SpatialData the column that names the regions is taken.
    n_neighbors
        Neighbours of a spot, by default 6 on a lattice and 30 of single cells; how that is told, see the notes. On a
        lattice whole rings of equally distant spots are taken, as many as make ``n_neighbors``, and the first at the
        least: 6 are the 6 on Visium's hexagons and the 4 on squares, and a spot at a border has fewer. Of cells the nearest
        ones are taken, those as near as the last of them (up to eight), and cells that count a cell among their nearest.
    radius
        Take all spots within this distance, in the unit of the places, in place of ``n_neighbors``.
    n_rings
        Take the neighbours' neighbours, too, so many steps along the graph: 2 are the two rings, 18 spots, around one of
        Visium's.
    layer
        Counts to take; by default X, or a layer named ``counts`` where X is not counts.
    features
        Further modalities, by name: the key in ``obsm`` of a matrix with a row for each spot, such as the embedding of
        image patches.
    table
        Name of the table in a SpatialData; not needed where it has one only.

    Returns
    -------
    MuData with the spots' annotations in ``obs``, their places in ``obsm["spatial"]``, of ``"rna"`` too, and modalities

    - ``"rna"``: the spots' own counts, with all else of ``data`` but a graph in space and ``raw``;
    - ``"spatial"``: summed counts of the neighbours, sparse, ``(n_spots_with_neighbours, n_genes)``; their mean where the
      values are not counts. Its ``obsp["spatial_connectivities"]`` and ``obsp["spatial_distances"]`` are the graph, and
      ``uns["spatial_neighbors"]`` describes it as squidpy does. A spot without neighbours lacks this modality;
    - one for each of ``features``.

    Raises
    ------
    SetupError
        If the data have faults; the message lists all of them.
    TypeError
        If ``data`` is neither AnnData nor SpatialData.
    ValueError
        If a SpatialData has no table of that name, or several and ``table`` is not given.

    Warns
    -----
    UserWarning
        If ``slide_key`` is not given and a column such as ``section`` has several values, or if so many spots are in the
        place of another one that they may be those of several slides.

    Notes
    -----
    A slide is a lattice if the distances to the nearest spot are much the same, and few neighbours lie between 1.15
    and 1.35 times as far: the first ring is empty around. Cells of a tissue, even if they are packed as tightly as spots on
    a lattice, have others there. It is decided once for all slides, by what most of the spots are on, and written to
    ``uns["spatial_neighbors"]["params"]["coord_type"]``: ``"grid"`` or ``"generic"``, squidpy's words.

    The modality carries its own defaults for :class:`~mmvae.MultiVAE` in ``uns["mmvae_defaults"]``: the prior
    ``"gmrf"``, and as the weight of its likelihood one over the mean number of neighbours, because each count enters as
    often as its spot has neighbours. As neighbours share counts, hold out slides or blocks for validation, never single
    spots: :meth:`~mmvae.MultiVAE.train` does so for such data.

    Give sections as ``batch_key`` where they are of the same anatomy, such as adjacent ones. Where each is a tissue of its
    own, the tissue would be taken out with the section (``docs/evidence.md``, Space): give none.

    Surroundings help to find regions that are larger than the reach of the neighbours. Layers of one or two spots they blur
    (``docs/evidence.md``, Space): there read ``get_latent_representation(modality="rna")`` as well.

    Examples
    --------
    >>> mdata = mmvae.pp.spatial(adata, slide_key="section")
    >>> mmvae.MultiVAE.setup_mudata(mdata, batch_key="section")
    """
    check_texts(spatial_key=spatial_key, slide_key=slide_key, layer=layer, table=table)
    check_is(
        "features", features or {}, Mapping, advice="Name keys of obsm by modality, such as {'protein': 'protein'}."
    )
    adata, slide_key = table_of(data, table, slide_key)
    features = dict(features or {})
    asked: dict[str, Any] = {"n_neighbors": n_neighbors, "radius": radius, "n_rings": n_rings}
    faults = number_and_name_faults(adata, **asked) + matrix_faults(adata, layer, features)
    if faults := faults + place_faults(adata, slide_key, spatial_key):
        raise SetupError(faults)
    for note in place_notes(adata, slide_key, spatial_key):
        warnings.warn(note, UserWarning, stacklevel=2)
    places = places_of(adata, spatial_key)
    if layer is None:
        layer, found, _ = choose_layer(adata)
    else:
        found = scan(values_of(adata, layer))
    found_graph = spot_graph(places, slides_of(adata, slide_key), n_neighbors, radius, n_rings)
    connectivities = found_graph.connectivities
    if connectivities.nnz == 0:
        raise SetupError(["no spot has a neighbour. Give a larger radius, or check what slide_key names."])
    surroundings = _surroundings(adata, layer, connectivities, found_graph.distances, found.is_counts)
    surroundings.uns[NEIGHBORS] = {
        "connectivities_key": CONNECTIVITIES,
        "distances_key": DISTANCES,
        "params": {name: value for name, value in asked.items() if value is not None}
        | {"coord_type": "grid" if found_graph.on_lattice else "generic"},
        "mean_neighbors": connectivities.nnz / surroundings.n_obs,
    }
    mods = {RNA: _own(adata, layer), SPATIAL: surroundings}
    # Copies and files of a MuData lose what `obsm` holds under the name of a modality.
    mods[RNA].obsm[SPATIAL] = places
    mods |= {name: _matrix(adata, key) for name, key in features.items()}
    with unpulled():
        mdata = MuData(mods)
    mdata.obs = adata.obs.loc[mdata.obs_names].copy()
    mdata.obsm[SPATIAL] = places
    return mdata


def _own(adata: AnnData, layer: str | None) -> AnnData:
    """The spots as they are, in an object of their own that shares the matrices; the graph is that of the surroundings."""
    # anndata 0.13 lists X among the layers, under None.
    return AnnData(
        values_of(adata, layer),
        obs=adata.obs.copy(),
        var=adata.var.copy(),
        uns={name: value for name, value in adata.uns.items() if name != NEIGHBORS},
        obsm=dict(adata.obsm),
        varm=dict(adata.varm),
        obsp={name: graph for name, graph in adata.obsp.items() if name not in (CONNECTIVITIES, DISTANCES)},
        varp=dict(adata.varp),
        layers={name: values for name, values in adata.layers.items() if name not in (None, layer)},
    )


def _surroundings(
    adata: AnnData, layer: str | None, graph: sp.csr_matrix, distances: sp.csr_matrix, is_counts: bool
) -> AnnData:
    """What the neighbours of each spot that has some hold together."""
    degree = np.diff(graph.indptr)
    has = degree > 0
    values = by_rows(values_of(adata, layer))
    # Counts of few bits have sums of more.
    dtype = values.dtype if values.dtype.kind == "f" else np.promote_types(values.dtype, np.int32)
    sums = graph[has].astype(dtype) @ (values if isinstance(values, np.ndarray) else sp.csr_matrix(values))
    if not is_counts:
        sums = sp.diags(1 / degree[has]) @ sums
    # Names of features are to be unique over modalities.
    names = [f"{SPATIAL}:{name}" for name in adata.var_names]
    var = pd.DataFrame({"gene": adata.var_names.to_numpy()}, index=pd.Index(names))
    obsp = {CONNECTIVITIES: graph[has][:, has], DISTANCES: distances[has][:, has]}
    found = AnnData(sums, obs=pd.DataFrame(index=adata.obs_names[has]), var=var, obsp=obsp)
    found.uns[DEFAULTS] = {"prior": "gmrf", "weight": float(1 / degree[has].mean())}
    return found


def _matrix(adata: AnnData, key: str) -> AnnData:
    values: Any = adata.obsm[key]
    is_frame = isinstance(values, pd.DataFrame)
    names = values.columns if is_frame else range(values.shape[1])
    var = pd.DataFrame(index=pd.Index([f"{key}:{name}" for name in names]))
    return AnnData(values.to_numpy() if is_frame else values, obs=pd.DataFrame(index=adata.obs_names), var=var)
