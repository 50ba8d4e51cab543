"""Spots with their surroundings."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

import mmvae
from mmvae import SetupError
from mmvae._compat import unpulled


def hexagons(rows: int, columns: int, pitch: float = 100.0) -> np.ndarray:
    """Places of a hexagonal lattice."""
    row, column = np.divmod(np.arange(rows * columns), columns)
    return np.stack([(column + 0.5 * (row % 2)) * pitch, row * pitch * 3**0.5 / 2], axis=1)


def squares(rows: int, columns: int) -> np.ndarray:
    return np.stack(np.divmod(np.arange(rows * columns), columns), axis=1).astype(float)


def spots(places: np.ndarray, slides: list[int] | None = None, n_genes: int = 8) -> AnnData:
    """Counts at places, those of slide after slide."""
    generator = np.random.default_rng(0)
    counts = generator.poisson(1.0, size=(len(places), n_genes)).astype(np.float32)
    names = [f"spot{i}" for i in range(len(places))]
    obs = pd.DataFrame({"depth": counts.sum(axis=1)}, index=names)
    if slides is not None:
        obs["section"] = pd.Categorical(np.repeat([f"s{k}" for k in range(len(slides))], slides))
    adata = AnnData(sp.csr_matrix(counts), obs=obs, var=pd.DataFrame(index=[f"g{j}" for j in range(n_genes)]))
    adata.obsm["spatial"] = places
    return adata


def degrees(mdata) -> np.ndarray:
    return np.diff(sp.csr_matrix(mdata["spatial"].obsp["spatial_connectivities"]).indptr)


def test_a_spot_gets_the_summed_counts_of_its_neighbours_and_not_its_own():
    adata = spots(hexagons(7, 9))
    mdata = mmvae.pp.spatial(adata)
    counts = adata.X.toarray()
    distances = np.linalg.norm(adata.obsm["spatial"][:, None] - adata.obsm["spatial"][None], axis=-1)
    near = (distances < 101) & (distances > 0)
    np.testing.assert_array_equal(mdata["spatial"].X.toarray(), near @ counts)
    np.testing.assert_array_equal(mdata["spatial"].obsp["spatial_connectivities"].toarray(), near)
    np.testing.assert_allclose(
        mdata["spatial"].obsp["spatial_distances"].toarray(), np.where(near, distances, 0), rtol=1e-5
    )
    assert sp.issparse(mdata["spatial"].X)
    assert list(mdata["spatial"].var["gene"]) == list(adata.var_names)


@pytest.mark.parametrize(
    ("places", "n_neighbors", "inside"),
    [
        pytest.param(hexagons(9, 9), 6, 6, id="hexagons"),
        pytest.param(squares(9, 9), 4, 4, id="squares"),
        pytest.param(squares(9, 9), 6, 4, id="squares_of_whole_rings"),
        pytest.param(squares(9, 9), 8, 8, id="squares_with_diagonals"),
        pytest.param(squares(9, 9), 1, 4, id="squares_have_their_first_ring"),
        pytest.param(hexagons(25, 25), 12, 12, id="two_rings_of_hexagons"),
        pytest.param(hexagons(9, 9) @ np.array([[0.8, -0.6], [0.6, 0.8]]), 6, 6, id="turned"),
        pytest.param(hexagons(9, 9) + np.random.default_rng(0).normal(0, 3, (81, 2)), 6, 6, id="jittered"),
    ],
)
def test_lattices_are_recognised(places, n_neighbors, inside):
    degree = degrees(mmvae.pp.spatial(spots(places), n_neighbors=n_neighbors))
    assert degree.max() == inside
    assert np.median(degree) == inside
    assert degree.min() < inside  # a corner does not reach further to make up for it


def test_free_places_have_their_nearest_and_those_that_count_them():
    places = np.random.default_rng(1).uniform(0, 1, (200, 2))
    graph = sp.csr_matrix(mmvae.pp.spatial(spots(places), n_neighbors=5)["spatial"].obsp["spatial_connectivities"])
    distances = np.linalg.norm(places[:, None] - places[None], axis=-1)
    nearest = np.argsort(distances, axis=1)[:, 1:6]
    among = np.zeros_like(distances)
    np.put_along_axis(among, nearest, 1, axis=1)
    np.testing.assert_array_equal(graph.toarray(), np.maximum(among, among.T))


def packed(n_tries: int = 20_000, side: float = 25.0) -> np.ndarray:
    """Places at random of which none is nearer than 1 to another: cells packed as tightly as they will."""
    found = np.empty((0, 2))
    for place in np.random.default_rng(0).uniform(0, side, (n_tries, 2)):
        if not (np.linalg.norm(found - place, axis=1) < 1).any():
            found = np.vstack([found, place])
    return found


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        pytest.param(hexagons(20, 20), 6, id="hexagons"),
        pytest.param(squares(20, 20)[np.random.default_rng(0).random(400) > 0.3], 4, id="squares_with_holes"),
        pytest.param(squares(20, 20) + np.random.default_rng(0).normal(0, 0.05, (400, 2)), 4, id="measured_squares"),
        pytest.param(np.random.default_rng(0).uniform(0, 1, (400, 2)), 30, id="cells_at_random"),
        pytest.param(packed(), 30, id="packed_cells"),
        pytest.param(np.random.default_rng(0).uniform(0, 1, (20, 2)), 19, id="few_cells"),
    ],
)
def test_the_number_of_neighbours_follows_the_places(places, expected):
    mdata = mmvae.pp.spatial(spots(places))
    # squares with holes have their ring less what is missing, and some cells are among the nearest of more than 30
    assert degrees(mdata).min() <= expected <= degrees(mdata).max() <= 2 * expected
    assert mdata["spatial"].uns["spatial_neighbors"]["mean_neighbors"] == degrees(mdata).mean()


def test_whether_spots_are_on_a_lattice_is_decided_once_for_all_slides():
    """A small, torn slide has the neighbours that its pitch gives it elsewhere, not thirty."""
    torn = np.array([[0.0, 0.0], [2.2, 0.3], [3.1, 0.2], [7.9, 4.0], [5.0, 8.1]])
    places = np.concatenate([hexagons(9, 9), torn])
    adata = spots(places)
    adata.obs["slide"] = ["whole"] * 81 + ["torn"] * 5
    found = mmvae.pp.spatial(adata, slide_key="slide")
    assert found["spatial"].uns["spatial_neighbors"]["params"]["coord_type"] == "grid"
    few = adata[[*range(3), *range(81, 86)]].copy()
    few.obsm["spatial"][:3] = [[0, 0], [1, 5], [9, 2]]
    assert (
        mmvae.pp.spatial(few, slide_key="slide")["spatial"].uns["spatial_neighbors"]["params"]["coord_type"]
        == "generic"
    )


@pytest.mark.parametrize(("places", "two"), [(hexagons(25, 25), 18), (squares(25, 25), 12)])
def test_rings_are_steps_along_the_graph(places, two):
    one, wide = (mmvae.pp.spatial(spots(places), n_rings=n)["spatial"] for n in (1, 2))
    graph = one.obsp["spatial_connectivities"].toarray()
    expected = ((graph @ graph + graph) > 0) & ~np.eye(len(places), dtype=bool)
    np.testing.assert_array_equal(wide.obsp["spatial_connectivities"].toarray(), expected)
    assert expected.sum(axis=1).max() == two
    distances = np.linalg.norm(places[:, None] - places[None], axis=-1)
    np.testing.assert_allclose(wide.obsp["spatial_distances"].toarray(), np.where(expected, distances, 0), rtol=1e-5)


def test_cells_may_share_a_rounded_place_and_ties_do_not_depend_on_their_order():
    generator = np.random.default_rng(0)
    places = np.round(generator.uniform(0, 200, (1_000, 2)))
    adata = spots(places)
    assert 0 < adata.n_obs - len(np.unique(places, axis=0)) < 0.05 * adata.n_obs
    order = generator.permutation(adata.n_obs)
    one, other = (mmvae.pp.spatial(a)["spatial"].obsp["spatial_connectivities"] for a in (adata, adata[order].copy()))
    assert (one[order][:, order] != other).nnz == 0
    distances = np.linalg.norm(places[:, None] - places[None], axis=-1)
    within = distances <= np.sort(distances, axis=1)[:, [30]]
    np.testing.assert_array_equal(one.toarray() > 0, (within | within.T) & ~np.eye(len(places), dtype=bool))


def test_slides_taken_for_one_are_pointed_out_by_places_that_are_shared():
    adata = spots(np.vstack([hexagons(5, 5), hexagons(5, 5)]), slides=[25, 25])
    del adata.obs["section"]
    with pytest.warns(UserWarning, match="25 of 50 spots are in the place of another one .* give slide_key"):
        mmvae.pp.spatial(adata)
    adata.obs["patient"] = "one"
    with pytest.warns(UserWarning, match="check column 'patient'"):
        mmvae.pp.spatial(adata, slide_key="patient")


def test_a_radius_takes_what_lies_within_and_lone_spots_lack_the_modality():
    places = np.vstack([squares(4, 4), [[50.0, 50.0]]])
    mdata = mmvae.pp.spatial(spots(places), radius=1.0)
    assert set(degrees(mdata)) == {2, 3, 4}
    assert mdata["spatial"].n_obs == 16
    assert mdata["rna"].n_obs == 17
    assert mdata.obsmap["spatial"].ravel()[-1] == 0


def test_slides_do_not_touch():
    places = np.vstack([hexagons(5, 5), hexagons(6, 6)])
    order = np.random.default_rng(0).permutation(61)
    adata = spots(places, slides=[25, 36])[order].copy()
    graph = sp.coo_matrix(mmvae.pp.spatial(adata, slide_key="section")["spatial"].obsp["spatial_connectivities"])
    sections = adata.obs["section"].to_numpy()
    assert (sections[graph.row] == sections[graph.col]).all()


def test_nothing_of_the_input_is_changed_or_copied():
    adata = spots(hexagons(5, 5))
    before = adata.copy()
    mdata = mmvae.pp.spatial(adata)
    assert np.shares_memory(mdata["rna"].X.data, adata.X.data)
    mdata["rna"].obs["new"] = 1
    mdata.obs["new"] = 1
    assert list(adata.obs) == list(before.obs)
    assert list(adata.obsm) == list(before.obsm)
    assert dict(adata.uns) == dict(before.uns)
    assert (adata.X != before.X).nnz == 0


def test_counts_are_found_and_what_is_not_counts_is_averaged():
    adata = spots(hexagons(5, 5))
    logged = adata.copy()
    logged.layers["counts"] = adata.X.copy()
    logged.X = adata.X.log1p()
    np.testing.assert_array_equal(
        mmvae.pp.spatial(logged)["spatial"].X.toarray(), mmvae.pp.spatial(adata)["spatial"].X.toarray()
    )
    del logged.layers["counts"]
    graph = mmvae.pp.spatial(logged)["spatial"].obsp["spatial_connectivities"].toarray()
    mean = graph @ logged.X.toarray() / graph.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(mmvae.pp.spatial(logged)["spatial"].X.toarray(), mean, rtol=1e-5)
    adata.layers["logged"] = logged.X
    np.testing.assert_allclose(mmvae.pp.spatial(adata, layer="logged")["spatial"].X.toarray(), mean, rtol=1e-5)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int64, np.float32])
@pytest.mark.parametrize("kind", [np.asarray, sp.csr_matrix])
def test_sums_may_be_larger_than_counts_of_few_bits(dtype, kind):
    adata = AnnData(kind(np.full((36, 3), 120, dtype=dtype)), obsm={"spatial": squares(6, 6)})
    adata.X *= 1 if dtype == np.uint8 else 250
    mdata = mmvae.pp.spatial(adata)
    expected = degrees(mdata)[:, None] * int(adata.X.max()) * np.ones(3)
    np.testing.assert_array_equal(mdata["spatial"].X.toarray() if kind != np.asarray else mdata["spatial"].X, expected)


def test_the_spots_keep_what_scanpy_finds_of_their_counts():
    adata = spots(hexagons(5, 5))
    adata.varm["PCs"] = np.ones((8, 2))
    adata.obsp["connectivities"] = sp.eye(25, format="csr")
    adata.obsp["spatial_connectivities"] = sp.eye(25, format="csr")
    adata.uns["neighbors"] = {"connectivities_key": "connectivities"}
    rna = mmvae.pp.spatial(adata)["rna"]
    assert list(rna.varm) == ["PCs"]
    assert list(rna.obsp) == ["connectivities"]  # the graph in space is that of the other modality


def test_further_matrices_become_modalities():
    adata = spots(hexagons(5, 5))
    adata.obsm["X_patches"] = np.random.default_rng(0).normal(size=(25, 4)).astype(np.float32)
    adata.obsm["metabolites"] = pd.DataFrame({"glucose": 1.0, "lactate": 2.0}, index=adata.obs_names)
    mdata = mmvae.pp.spatial(adata, features={"image": "X_patches", "metabolome": "metabolites"})
    assert list(mdata.mod) == ["rna", "spatial", "image", "metabolome"]
    np.testing.assert_array_equal(mdata["image"].X, adata.obsm["X_patches"])
    assert list(mdata["metabolome"].var_names) == ["metabolites:glucose", "metabolites:lactate"]


def test_a_table_of_spatialdata_is_taken_with_its_regions():
    adata = spots(np.vstack([squares(4, 4), squares(4, 4)]), slides=[16, 16])
    adata.uns["spatialdata_attrs"] = {"region": ["s0", "s1"], "region_key": "section", "instance_key": "id"}
    sdata = SimpleNamespace(tables={"table": adata})
    assert set(degrees(mmvae.pp.spatial(sdata))) == {2, 3, 4}
    sdata.tables["other"] = adata
    with pytest.raises(ValueError, match=r"one of \['table', 'other'\]; got None"):
        mmvae.pp.spatial(sdata)


def test_all_faults_are_told_at_once():
    adata = spots(hexagons(4, 4))
    adata.obsm["spatial"][:3] = np.nan
    with pytest.raises(SetupError) as caught:
        mmvae.pp.spatial(
            adata, slide_key="slide", n_neighbors=0, radius=-1.0, layer="raw", features={"rna": "x", "image": "y"}
        )
    text = str(caught.value)
    for part in (
        "Expected n_neighbors as a whole number above 0; got 0.",
        "Expected radius as a number above 0; got -1.0.",
        "no column 'slide'",
        "no layer 'raw'",
        "features name a modality 'rna'",
        "features of 'image': obsm has no 'y'",
        "NaN or infinite in 3 spots",
    ):
        assert part in text


def test_one_slide_of_two_in_one_place_is_a_fault():
    adata = spots(hexagons(4, 4))
    adata.obsm["spatial"][12:] = 0.0
    adata.obs["slide"] = ["a"] * 12 + ["b"] * 4
    with pytest.raises(SetupError, match="all spots of a slide are in one place"):
        mmvae.pp.spatial(adata, slide_key="slide")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.obsm.__delitem__("spatial"), r"obsm has no 'spatial' \(spatial_key\)"),
        (lambda a: a.obsm.__setitem__("spatial", np.zeros((16, 1))), r"shape \(16, 1\); expected 2 or 3"),
        (lambda a: a.obsm.__setitem__("spatial", np.zeros((16, 2))), "all spots of a slide are in one place"),
        (lambda a: setattr(a, "obs_names", ["a"] * 16), "15 names of spots are repeated"),
    ],
)
@pytest.mark.filterwarnings("ignore:Observation names are not unique")
def test_faults_of_places_and_names(change, message):
    adata = spots(hexagons(4, 4))
    change(adata)
    with pytest.raises(SetupError, match=message):
        mmvae.pp.spatial(adata)


@pytest.mark.parametrize(
    ("name", "value"), [("n_neighbors", 2.5), ("n_neighbors", "6"), ("radius", "100"), ("n_rings", 0)]
)
def test_numbers_of_another_kind_are_faults(name, value):
    with pytest.raises(SetupError, match=f"Expected {name} as .*; got {value!r}"):
        mmvae.pp.spatial(spots(hexagons(4, 4)), **{name: value})


def test_places_survive_a_copy_whatever_they_were_called():
    adata = spots(hexagons(4, 4))
    adata.obsm["X_places"] = adata.obsm.pop("spatial")
    with unpulled():  # mudata puts which cells have the modality of that name in place of obsm["spatial"]
        mdata = mmvae.pp.spatial(adata, spatial_key="X_places").copy()
    np.testing.assert_array_equal(mdata["rna"].obsm["spatial"], adata.obsm["X_places"])
    assert list(adata.obsm) == ["X_places"]


def test_spots_without_any_neighbour_are_a_fault():
    with pytest.raises(SetupError, match="no spot has a neighbour"):
        mmvae.pp.spatial(spots(hexagons(4, 4)), radius=0.1)


def test_a_column_that_looks_like_slides_is_pointed_out():
    adata = spots(np.vstack([hexagons(4, 4), hexagons(4, 4) + 10_000]), slides=[16, 16])
    with pytest.warns(UserWarning, match="slide_key='section'"):
        mmvae.pp.spatial(adata)


def test_what_is_no_table_is_refused():
    with pytest.raises(TypeError, match="Expected an AnnData or a SpatialData; got ndarray"):
        mmvae.pp.spatial(np.zeros((3, 3)))
