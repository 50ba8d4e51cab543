"""Simulated sections have the form of the real ones, and their truth is in the counts."""

from __future__ import annotations

from functools import cache

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.spatial import KDTree
from sklearn.linear_model import LogisticRegression

from mmvae.datasets import simulate_pdac
from mmvae.datasets.pdac._genes import DISPERSION, draw_counts, draw_genes
from mmvae.datasets.pdac._sections import SECTIONS
from mmvae.datasets.pdac._tissue import COMPOSITIONS, MARKERS, MAX_SPOTS, NICHE_SHARES, draw_section

# of anndata, as it takes some cells of many, against pandas 3.1
pytestmark = pytest.mark.filterwarnings("ignore:The 'mode.chained_assignment' option is deprecated")

SPACING = 150.0


@cache
def sections() -> anndata.AnnData:
    """Twelve sections; not to be changed by a test."""
    return simulate_pdac(12, n_spots=150, n_genes=600, density=0.2, seed=1)


def slides(adata):
    for name in adata.obs["slide"].cat.categories:
        yield adata[adata.obs["slide"] == name]


def shares(adata) -> np.ndarray:
    """Log of each gene's share of the spot's counts, in units of ten thousand."""
    counts = adata.X.toarray()
    return np.log1p(1e4 * counts / counts.sum(axis=1, keepdims=True))


def test_form_is_that_of_the_tidied_file():
    adata = sections()
    assert adata.shape == (1800, 600)
    assert adata.obs["slide"].nunique() == 12
    assert list(adata.obs["tissue"].cat.categories) == ["NP", "T", "HM", "LNM"]
    assert adata.obs_names.is_unique
    assert adata.var_names.is_unique
    assert adata.obsm["spatial"].shape == (1800, 2)
    assert not [key for key in adata.obsm if key.startswith("spatial_")]
    origin = (
        adata.obs["tissue"]
        .astype(str)
        .map({"NP": "Normal Pancreas", "T": "Pancreas", "HM": "Liver", "LNM": "Lymph node"})
    )
    assert (adata.obs["Origin"].astype(str) == origin).all()
    assert adata.obs["patient"].str.fullmatch(r"PT_\d+").all()


def test_counts_are_sparse_whole_numbers():
    adata = sections()
    assert sp.isspmatrix_csr(adata.X)
    assert adata.X.dtype == np.float32
    assert adata.X.has_canonical_format
    assert (adata.X.data > 0).all()
    assert (adata.X.data == np.rint(adata.X.data)).all()
    np.testing.assert_array_equal(adata.obs["nCount_Spatial"], np.asarray(adata.X.sum(axis=1)).ravel())
    np.testing.assert_array_equal(adata.obs["nFeature_Spatial"], (adata.X > 0).sum(axis=1).A1)


def test_by_default_all_sections_are_there_with_coordinates_each_in_an_array_of_its_own():
    adata = simulate_pdac(n_spots=20, n_genes=20, tidy=False)
    keys = [key for key in adata.obsm if key.startswith("spatial")]
    assert set(keys) == {f"spatial_{section}" for section in SECTIONS}
    for key in keys:
        inside = (adata.obs["orig.ident"] == key.removeprefix("spatial_")).to_numpy()
        assert np.isfinite(adata.obsm[key][inside]).all()
        assert np.isnan(adata.obsm[key][~inside]).all()
    assert not {"slide", "tissue"} & set(adata.obs)


@pytest.mark.parametrize("density", [0.02, 0.1, 0.5, 0.95])
def test_density_is_as_asked_for(density):
    counts = simulate_pdac(4, n_spots=100, n_genes=300, density=density).X
    assert counts.nnz / np.prod(counts.shape) == pytest.approx(density, rel=0.05)


def test_the_same_seed_gives_identical_data_and_another_gives_others():
    first, second, other = (simulate_pdac(4, n_spots=40, n_genes=50, seed=s) for s in (3, 3, 4))
    assert (first.X != second.X).nnz == 0
    pd.testing.assert_frame_equal(first.obs, second.obs)
    np.testing.assert_array_equal(first.obsm["spatial"], second.obsm["spatial"])
    assert (first.X != other.X).nnz > 0
    assert not np.array_equal(first.obsm["composition"], other.obsm["composition"])


def test_other_sections_and_other_sizes_of_the_panel_leave_a_sections_tissue_alone():
    few, many = simulate_pdac(4, n_spots=40, n_genes=50), simulate_pdac(8, n_spots=40, n_genes=90, density=0.2)
    for one in slides(few):
        same = many[one.obs_names]
        np.testing.assert_array_equal(one.obsm["spatial"], same.obsm["spatial"])
        pd.testing.assert_frame_equal(one.obsm["composition"], same.obsm["composition"])
        assert (one.obs["isolated"] == same.obs["isolated"]).all()


def test_spots_are_hexagonal_and_sections_irregular_and_different():
    outlines = []
    for one in slides(sections()):
        position = one.obsm["spatial"]
        pairs = KDTree(position).query_pairs(1.01 * SPACING, output_type="ndarray")
        distance = np.linalg.norm(position[pairs[:, 0]] - position[pairs[:, 1]], axis=1)
        np.testing.assert_allclose(distance, SPACING)
        neighbours = np.bincount(pairs.ravel(), minlength=150)
        assert neighbours.max() == 6
        assert neighbours.mean() > 4.5
        outlines.append(np.ptp(position, axis=0))
    assert len(np.unique(outlines, axis=0)) > 6


def test_a_section_can_fill_the_slide():
    section = draw_section(np.random.default_rng(0), MAX_SPOTS, "T")
    assert len(np.unique(section.position, axis=0)) == MAX_SPOTS


def test_niches_are_domains():
    for one in slides(sections()):
        niche = one.obs["CompositionCluster_CC"].cat.codes.to_numpy()
        near = KDTree(one.obsm["spatial"]).query(one.obsm["spatial"], k=7)[1][:, 1:]
        shuffled = np.random.default_rng(0).permutation(niche)
        assert (niche[near] == niche[:, None]).mean() > max(0.6, (shuffled[near] == shuffled[:, None]).mean())


def test_compositions_follow_the_niche():
    adata = sections()
    composition = adata.obsm["composition"]
    np.testing.assert_allclose(composition.sum(axis=1), 1.0)
    assert (composition.to_numpy() >= 0).all()
    assert (composition.idxmax(axis=1) == adata.obs["first_type"].astype(str)).all()
    mean = composition[~adata.obs["isolated"]].groupby(adata.obs["CompositionCluster_CC"], observed=True).mean()
    expected = adata.uns["niches"].loc[mean.index]
    assert (mean.idxmax(axis=1) == expected.idxmax(axis=1)).all()
    # neighbouring regions have a share in the spots near borders, of which small regions have many
    assert np.abs(mean - expected).to_numpy().max() < 0.25


def test_isolated_spots_are_of_a_type_that_no_neighbour_has():
    n_isolated = 0
    for one in slides(sections()):
        tree = KDTree(one.obsm["spatial"])
        kind = one.obs["first_type"].astype(str).to_numpy()
        for spot in np.flatnonzero(one.obs["isolated"]):
            near = [i for i in tree.query_ball_point(one.obsm["spatial"][spot], 1.1 * SPACING) if i != spot]
            assert kind[spot] not in kind[near]
            assert not one.obs["isolated"].to_numpy()[near].any()
            n_isolated += 1
    assert n_isolated == 12 * round(0.01 * 150)


@pytest.mark.parametrize("kind", ["Malignant", "Fibroblast", "Acinar", "Hepatocyte", "B cell"])
def test_markers_are_high_where_their_cell_type_is(kind):
    adata = sections()
    share = adata.obsm["composition"][kind].to_numpy()
    counts = np.asarray(adata[:, list(MARKERS[kind])].X.sum(axis=1)).ravel() / adata.obs["nCount_Spatial"]
    assert np.corrcoef(share, counts)[0, 1] > 0.6


def test_the_first_genes_are_markers_of_every_type_and_the_rest_are_numbered():
    names = simulate_pdac(1, n_spots=20, n_genes=100).var_names
    assert {markers[0] for markers in MARKERS.values()} <= set(names[: len(MARKERS)])
    assert set().union(*MARKERS.values()) <= set(names)
    assert names[-1] == f"GENE{100 - sum(map(len, MARKERS.values())):04d}"


def test_the_tissue_of_a_held_out_section_is_learnable_but_not_plain():
    adata = sections()
    values = shares(adata)
    tissue, slide = (adata.obs[key].astype(str).to_numpy() for key in ("tissue", "slide"))
    right = []
    for name in np.unique(slide):
        held = slide == name
        model = LogisticRegression(C=1e-3, max_iter=200).fit(values[~held], tissue[~held])
        right.append((model.predict(values[held]) == tissue[held]).mean())
    assert 0.45 < np.mean(right) < 0.9


def test_sections_share_the_effects_of_their_tissue_and_of_their_patient():
    genes = draw_genes(np.random.default_rng(0), 5000)
    shift = genes.section_shift

    def rest(section: str, tissue: str) -> np.ndarray:
        return shift[section] - genes.tissue_effect[:, ["NP", "T", "HM", "LNM"].index(tissue)]

    def correlation(one: np.ndarray, other: np.ndarray) -> float:
        return np.corrcoef(one, other)[0, 1]

    assert correlation(rest("IU_PDA_T2", "T"), rest("IU_PDA_HM2", "HM")) == pytest.approx(0.5, abs=0.05)
    assert correlation(rest("IU_PDA_T2", "T"), rest("IU_PDA_T3", "T")) == pytest.approx(0.0, abs=0.05)
    assert correlation(shift["IU_PDA_T2"], shift["IU_PDA_T3"]) > 0.3
    assert rest("IU_PDA_T2", "T").std() == pytest.approx(np.hypot(0.15, 0.15), rel=0.05)
    assert (genes.tissue_effect != 0).mean() == pytest.approx(0.1, abs=0.02)


def test_the_shift_of_a_section_is_in_its_counts():
    rng = np.random.default_rng(0)
    composition, depth = np.tile(COMPOSITIONS[0], (400, 1)), np.full(400, 2000.0)
    profile = sections().varm["log_profile"].to_numpy()
    none, some = np.zeros(600), np.repeat([0.5, 0.0], 300)
    totals = [draw_counts(rng, composition, depth, profile=profile, shift=s).sum(axis=0).A1 for s in (none, none, some)]
    often = totals[0] > 500
    first = np.flatnonzero(often) < 300
    noise, effect = (np.log(total[often] / totals[0][often]) for total in totals[1:])
    assert effect[first].mean() - effect[~first].mean() == pytest.approx(0.5, abs=0.05)
    assert abs(noise[first].mean() - noise[~first].mean()) < 0.05


def test_counts_are_negative_binomial_around_what_is_expected():
    depth, n_spots = np.full(20_000, 12.0), 20_000
    share = np.array([0.7, 0.2, 0.1])
    counts = draw_counts(
        np.random.default_rng(0), np.ones((n_spots, 1)), depth, profile=np.log(share)[:, None], shift=np.zeros(3)
    ).toarray()
    mean = 12.0 * share
    np.testing.assert_allclose(counts.mean(axis=0), mean, rtol=0.03)
    np.testing.assert_allclose(counts.var(axis=0), mean + mean**2 / DISPERSION, rtol=0.06)
    np.testing.assert_allclose((counts == 0).mean(axis=0), (1 + mean / DISPERSION) ** -DISPERSION, atol=0.015)


def test_niche_tables_are_shares():
    np.testing.assert_allclose(COMPOSITIONS.sum(axis=1), 1.0)
    for share in NICHE_SHARES.values():
        assert share.shape == (len(COMPOSITIONS),)
        assert share.sum() == pytest.approx(1.0)


@pytest.mark.parametrize("tidy", [True, False])
def test_data_survive_a_file(tmp_path, tidy):
    adata = simulate_pdac(2, n_spots=20, n_genes=30, tidy=tidy)
    adata.write_h5ad(tmp_path / "simulated.h5ad")
    again = anndata.read_h5ad(tmp_path / "simulated.h5ad")
    assert (again.X != adata.X).nnz == 0
    assert set(again.obsm) == set(adata.obsm)
    pd.testing.assert_frame_equal(again.obs, adata.obs)
    pd.testing.assert_frame_equal(again.varm["tissue_effect"], adata.varm["tissue_effect"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(
            {"n_sections": 0}, "n_sections as a whole number of at least 1, at most 30; got 0", id="no_section"
        ),
        pytest.param(
            {"n_sections": 31}, "n_sections as a whole number of at least 1, at most 30; got 31", id="too_many_sections"
        ),
        pytest.param({"n_spots": 19}, "n_spots as a whole number of at least 20", id="too_few_spots"),
        pytest.param({"n_spots": 4993}, "n_spots as .* at most 4992", id="more_spots_than_a_slide_has"),
        pytest.param({"n_genes": 19}, "n_genes as a whole number of at least 20", id="too_few_genes"),
        pytest.param({"density": 0.0}, "density as a share above 0", id="no_counts"),
        pytest.param({"density": 0.96}, "at most 0.95; got 0.96", id="too_dense"),
        pytest.param({"density": float("nan")}, "density as", id="nan_density"),
        pytest.param({"density": "0.1"}, "density as", id="density_as_text"),
        pytest.param({"seed": 1.5}, "seed as a whole number", id="half_a_seed"),
    ],
)
def test_unusable_values_are_refused_with_a_remedy(arguments, message):
    with pytest.raises(ValueError, match=message):
        simulate_pdac(**arguments)


@pytest.mark.parametrize("name", ["n_sections", "n_spots", "n_genes"])
@pytest.mark.parametrize("value", [20.0, True])
def test_numbers_that_are_no_integers_are_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} as a whole number"):
        simulate_pdac(**{name: value})
