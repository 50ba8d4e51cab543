"""Cells on their slides."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
import scipy.sparse as sp
from anndata import AnnData
from images import image, without_text
from matplotlib.colors import to_hex, to_rgba
from mudata import MuData

import mmvae
from mmvae import SetupError
from mmvae._compat import unpulled

N = 20


@pytest.fixture
def adata() -> AnnData:
    """Two slides of 12 and 8 spots, 10 apart, the second with other values."""
    generator = np.random.default_rng(0)
    counts = generator.poisson(3.0, (N, 3)).astype(np.float32)
    counts[12:] += 5
    obs = pd.DataFrame({"section": ["s1"] * 12 + ["s2"] * 8}, index=[f"c{i}" for i in range(N)])
    obs["region"] = pd.Categorical(
        ["tumour", "stroma"] * 6 + ["stroma", "fat"] * 4, categories=["tumour", "stroma", "fat"]
    )
    obs["depth"] = np.arange(N, dtype=float)
    found = AnnData(sp.csr_matrix(counts), obs=obs, var=pd.DataFrame(index=["EPCAM", "KRT19", "PRSS1"]))
    places = [*np.ndindex(3, 4), *np.ndindex(2, 4)]
    found.obsm["spatial"] = 10.0 * np.array(places) + 30
    found.obsm["X_mmvae"] = generator.normal(size=(N, 4))
    found.obsm["mmvae_components_rna"] = pd.DataFrame(
        generator.random((N, 2)), index=found.obs_names, columns=["a", "b"]
    )
    return found


@pytest.fixture
def mdata(adata) -> MuData:
    """The same with a second modality that the first five cells lack."""
    with unpulled():
        found = MuData(
            {
                "rna": adata,
                "image": AnnData(np.ones((15, 1)), obs=adata.obs[["depth"]][5:], var=pd.DataFrame(index=["w"])),
            }
        )
    found.obs["section"] = adata.obs["section"].loc[found.obs_names]
    found.obsm["X_mmvae"] = adata.obsm["X_mmvae"]
    return found


def draw(data, color, **kwargs):
    return mmvae.pl.spatial(data, color, show=False, **kwargs)


def test_spots_are_where_they_lie_and_coloured_by_the_gene_on_one_scale(adata):
    axes = draw(adata, "EPCAM", slide_key="section")
    values = adata[:, "EPCAM"].X.toarray().ravel()
    assert [panel.get_title() for panel in axes] == ["s1", "s2"]
    for panel, rows in zip(axes, (slice(0, 12), slice(12, N)), strict=True):
        (spots,) = panel.collections
        np.testing.assert_array_equal(spots.get_offsets(), adata.obsm["spatial"][rows])
        np.testing.assert_array_equal(spots.get_array(), values[rows])
        assert spots.get_clim() == (values.min(), values.max())
        # in the places' unit: circles that close a hexagonal lattice of pitch 10
        np.testing.assert_allclose(spots.get_widths(), 20 / 3**0.5)
        assert panel.get_aspect() == 1
        assert panel.yaxis_inverted()
        assert not len(panel.get_xticks()) + len(panel.get_yticks())
    labels = [bar.get_ylabel() for panel in axes for bar in panel.child_axes]
    assert labels == ["EPCAM"]


def test_spots_are_drawn_where_the_axes_say(adata):
    (panel,) = draw(adata, "depth", slide_key="section", slides=["s1"])
    panel.figure.canvas.draw()
    (spots,) = panel.collections
    drawn = spots.get_offset_transform().transform(spots.get_offsets())
    np.testing.assert_allclose(drawn, panel.transData.transform(adata.obsm["spatial"][:12]))
    (left, right), (bottom, top) = panel.get_xlim(), panel.get_ylim()
    assert left < 30 - 5
    assert right > 50 + 5
    assert top < 30 - 5
    assert bottom > 60 + 5


def test_categories_have_one_legend_and_keep_their_colours(adata):
    axes = draw(adata, "region", slide_key="section")
    legends = [panel.get_legend() for panel in axes if panel.get_legend()]
    assert len(legends) == 1
    assert [text.get_text() for text in legends[0].get_texts()] == ["tumour", "stroma", "fat"]
    assert legends[0].get_title().get_text() == "region"
    colours = {
        text.get_text(): to_hex(dot.get_color())
        for text, dot in zip(legends[0].get_texts(), legends[0].legend_handles, strict=True)
    }
    assert len(set(colours.values())) == 3
    for panel, rows in zip(axes, (slice(0, 12), slice(12, N)), strict=True):
        assert [to_hex(c) for c in panel.collections[0].get_facecolor()] == [
            colours[r] for r in adata.obs["region"][rows]
        ]


@pytest.mark.parametrize("given", ["stored", "palette"])
def test_colours_of_the_user_are_taken(adata, given):
    wanted = {"tumour": "#ff0000", "stroma": "#00ff00", "fat": "#0000ff"}
    if given == "stored":
        adata.uns["region_colors"] = list(wanted.values())
    axes = draw(adata, "region", slide_key="section", slides=["s2"], palette=wanted if given == "palette" else None)
    drawn = [to_hex(c) for c in axes[0].collections[0].get_facecolor()]
    assert drawn == [wanted[r] for r in adata.obs["region"][12:]]
    assert [t.get_text() for t in axes[0].get_legend().get_texts()] == ["stroma", "fat"]


def test_a_colour_map_is_taken_and_nothing_is_written(adata):
    before = dict(adata.uns)
    axes = draw(adata, ["depth", "region"], slide_key="section", palette="magma")
    assert axes[0].collections[0].get_cmap().name == "magma"
    assert dict(adata.uns) == before


@pytest.mark.parametrize("n", [15, 25, 90, 120])
def test_many_categories_have_as_many_colours(n):
    adata = AnnData(
        np.ones((n, 1)), obs=pd.DataFrame({"type": [f"t{i}" for i in range(n)]}, index=[str(i) for i in range(n)])
    )
    adata.obsm["spatial"] = np.stack([np.arange(n), np.zeros(n)], axis=1)
    (panel,) = draw(adata, "type")
    assert len(panel.get_legend().get_texts()) == n
    assert len({to_hex(c) for c in panel.collections[0].get_facecolor()}) == n


def test_cells_without_a_value_are_grey_and_beneath(adata):
    adata.obs.loc[adata.obs_names[:3], ["depth", "region"]] = np.nan
    number, category = draw(adata, ["depth", "region"], slide_key="section", slides=["s1"])
    for panel in (number, category):
        missing, known = panel.collections
        np.testing.assert_array_equal(missing.get_offsets(), adata.obsm["spatial"][:3])
        np.testing.assert_array_equal(missing.get_facecolor(), [to_rgba("lightgray")])
        np.testing.assert_array_equal(known.get_offsets(), adata.obsm["spatial"][3:12])
    np.testing.assert_array_equal(number.collections[1].get_array(), np.arange(3.0, 12))
    assert [text.get_text() for text in category.get_legend().get_texts()] == ["tumour", "stroma", "NA"]


@pytest.mark.parametrize(
    ("color", "expected"),
    [
        ("rna:EPCAM", lambda a: a[:, "EPCAM"].X.toarray().ravel()),
        ("PRSS1", lambda a: a[:, "PRSS1"].X.toarray().ravel()),
        ("rna:depth", lambda a: a.obs["depth"].to_numpy()),
        ("X_mmvae:3", lambda a: a.obsm["X_mmvae"][:, 3]),
        ("image:w", lambda a: np.where(np.arange(N) < 5, np.nan, 1.0)),
        ("image:depth", lambda a: np.where(np.arange(N) < 5, np.nan, np.arange(N))),
    ],
)
def test_names_of_all_kinds_are_found(adata, mdata, color, expected):
    values = expected(adata)
    drawn = np.concatenate([panel.collections[-1].get_array() for panel in draw(mdata, color, slide_key="rna:section")])
    np.testing.assert_allclose(drawn, values[~np.isnan(values)])
    n_missing = sum(
        len(c.get_offsets()) for panel in draw(mdata, color, slide_key="section") for c in panel.collections[:-1]
    )
    assert n_missing == np.isnan(values).sum()


def test_a_column_of_a_frame_is_found_by_name(adata):
    (panel,) = draw(adata, "mmvae_components_rna:b", slide_key="section", slides=["s2"])
    np.testing.assert_array_equal(panel.collections[0].get_array(), adata.obsm["mmvae_components_rna"]["b"][12:])


def test_what_pp_spatial_makes_is_drawn(adata):
    made = mmvae.pp.spatial(adata, slide_key="section")
    axes = draw(made, ["EPCAM", "spatial:EPCAM", "region"], slide_key="section")
    assert len(axes) == 6
    np.testing.assert_array_equal(axes[2].collections[0].get_array(), made["spatial"][:12, 0].X.toarray().ravel())


def test_booleans_are_categories_and_cells_without_place_are_left_out(adata):
    adata.obs["inside"] = adata.obs["depth"] > 5
    adata.obsm["spatial"][:4] = np.nan
    (panel,) = draw(adata, "inside", slide_key="section", slides=["s1"])
    assert len(panel.collections[0].get_offsets()) == 8
    assert [text.get_text() for text in panel.get_legend().get_texts()] == ["False", "True"]


@pytest.mark.parametrize("where", ["own", "modality"])
def test_an_image_lies_beneath_the_spots_in_their_unit(adata, mdata, where):
    pixels = np.random.default_rng(0).random((40, 50, 3))
    entry = {"images": {"lowres": pixels}, "scalefactors": {"tissue_lowres_scalef": 0.5, "spot_diameter_fullres": 6.0}}
    data = mdata if where == "modality" else adata
    (mdata["rna"] if where == "modality" else adata).uns["spatial"] = {"s1": entry}
    with_image, without = draw(data, "EPCAM", slide_key="section", size=0.5)
    (drawn,) = with_image.images
    assert drawn.get_extent() == [-1.0, 99.0, 79.0, -1.0]
    np.testing.assert_array_equal(drawn.get_array(), pixels)
    assert drawn.get_zorder() < with_image.collections[0].get_zorder()
    np.testing.assert_allclose(with_image.collections[0].get_widths(), 3.0)
    # the image does not widen the view beyond the tissue
    assert with_image.get_xlim() == (27.0, 53.0)
    assert not without.images
    assert not draw(data, "EPCAM", slide_key="section", image=False)[0].images


def test_the_image_asked_for_is_taken_and_the_sharper_one_by_default(adata):
    images = {"lowres": np.zeros((4, 4)), "hires": np.zeros((8, 8))}
    adata.uns["spatial"] = {
        "any": {"images": images, "scalefactors": {"tissue_hires_scalef": 1.0, "tissue_lowres_scalef": 0.5}}
    }
    alone = adata[:12].copy()
    assert draw(alone, "depth")[0].images[0].get_size() == (8, 8)
    assert draw(alone, "depth", image="lowres")[0].images[0].get_size() == (4, 4)
    with pytest.raises(
        SetupError, match=r"the image of '' is there as \['lowres', 'hires'\].*expected one of \['medium'\]"
    ):
        draw(alone, "depth", image="medium")


def test_panels_stand_in_rows(adata):
    rows = [panel.get_subplotspec().rowspan.start for panel in draw(adata, ["depth", "region"], slide_key="section")]
    assert rows == [0, 0, 1, 1]
    panels = draw(adata, ["depth", "region", "EPCAM"], slide_key="section", slides=["s1"], ncols=2)
    assert [panel.get_subplotspec().rowspan.start for panel in panels] == [0, 0, 1]
    assert len(draw(adata, "depth", slide_key="section", slides=["s2", "s1"], ncols=1)) == 2


def test_all_faults_are_told_at_once(adata):
    with pytest.raises(SetupError) as caught:
        draw(
            adata,
            ["epcam", "X_mmvae", "X_mmvae:4", "regoin"],
            slide_key="section",
            slides=["s1", "s9"],
            ncols=0,
            size=0,
        )
    for part in (
        "there are no slides ['s9']; there are ['s1', 's2']",
        "'epcam' is neither a column of obs, nor a feature",
        "Is it ['EPCAM']",
        "obsm['X_mmvae'] has 4 columns, '0' to '3'; got all of it. Name one, as 'X_mmvae:0'",
        "got '4'",
        "Is it ['region'",
        "Expected ncols as a whole number above 0; got 0",
        "Expected size as a number above 0; got 0",
    ):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"slide_key": "slide"}, r"obs has no column 'slide'; it has \['section'"),
        ({"slide_key": "section", "spatial_key": "xy"}, r"no places of cells 'xy' \(spatial_key\).*\['X_mmvae'"),
        ({"slide_key": "section", "palette": "nocolours"}, "palette 'nocolours' is no colour map"),
        ({"slide_key": "section", "palette": {"tumour": "red"}}, r"no colour of \['fat', 'stroma'\] of 'region'"),
    ],
)
def test_a_fault_is_told(adata, kwargs, message):
    with pytest.raises(SetupError, match=message):
        draw(adata, "region", **kwargs)


def test_slides_taken_for_one_are_drawn_with_the_warning_of_setting_them_up(adata):
    words = (
        "8 of 20 spots are in the place of another one.*give slide_key, the column that names them, such as 'section'"
    )
    with pytest.warns(UserWarning, match=words):
        (panel,) = draw(adata, "region")
    assert sum(len(spots.get_offsets()) for spots in panel.collections) == N
    with pytest.warns(UserWarning, match=words), pytest.warns(UserWarning, match="are taken for one slide"):
        mmvae.pp.spatial(adata)
    adata.obs["all"] = "one"
    for function, arguments in ((draw, ["region"]), (mmvae.pp.spatial, [])):
        with pytest.warns(UserWarning, match="8 of 20 spots.*check column 'all'"):
            function(adata, *arguments, slide_key="all")


def test_slides_without_a_key_are_refused(adata):
    with pytest.raises(SetupError, match="slides are given, but no slide_key"):
        draw(adata[:12].copy(), "region", slides=["s1"])


def test_a_feature_of_several_modalities_is_to_be_named_with_one(adata):
    twin = AnnData(adata.X.copy(), obs=adata.obs[[]].copy(), var=adata.var.copy())
    with unpulled(), pytest.warns(UserWarning, match="var_names are not unique"):
        twins = MuData({"rna": adata, "protein": twin})
    with pytest.raises(SetupError, match=r"Name one: \['rna:EPCAM', 'protein:EPCAM'\]"):
        draw(twins, "EPCAM", slide_key="rna:section")


def test_a_column_of_a_modality_is_pointed_out(mdata):
    with pytest.raises(SetupError, match=r"'region' is neither .* Is it \['rna:region'"):
        draw(mdata, "region", slide_key="section")


def test_showing_follows_scanpy(adata, monkeypatch):
    shown = []
    monkeypatch.setattr(plt, "show", lambda: shown.append(True))
    before = sc.settings.autoshow
    try:
        sc.settings.autoshow = True
        assert mmvae.pl.spatial(adata, "depth", slide_key="section") is None
        assert shown == [True]
        assert len(draw(adata, "depth", slide_key="section")) == 2
        assert shown == [True]
    finally:
        sc.settings.autoshow = before


@pytest.mark.parametrize(
    ("values", "categories"),
    [
        pytest.param(pd.array([True, None, False] * 8, dtype="boolean"), ["False", "True"], id="nullable_boolean"),
        pytest.param(pd.to_datetime(["2024-01-01", None, "2024-01-02"] * 8), ["2024-01-01", "2024-01-02"], id="dates"),
        pytest.param(pd.array(["b", None, "a"] * 8, dtype="string"), ["a", "b"], id="text"),
    ],
)
def test_columns_that_are_no_numbers_are_categories(adata, values, categories):
    adata.obs["kind"] = values[:N]
    adata.obsm["table"] = adata.obs[["kind"]].copy()
    for color in ("kind", "table:kind"):
        (panel,) = draw(adata, color, slide_key="section", slides=["s1"])
        assert [text.get_text() for text in panel.get_legend().get_texts()] == [*categories, "NA"]


def test_a_palette_names_categories_as_the_data_do(adata):
    adata.obs["cluster"] = pd.Categorical([1, 2] * (N // 2))
    (panel,) = draw(adata, "cluster", slide_key="section", slides=["s1"], palette={1: "#ff0000", 2: "#00ff00"})
    assert [to_hex(c) for c in panel.collections[0].get_facecolor()] == ["#ff0000", "#00ff00"] * 6


def test_colours_that_a_modality_keeps_are_taken_where_mudata_copies_its_columns(adata, mdata):
    wanted = {"tumour": "#ff0000", "stroma": "#00ff00", "fat": "#0000ff"}
    mdata["rna"].uns["region_colors"] = list(wanted.values())
    mdata.obs["rna:region"] = mdata["rna"].obs["region"].astype(object).reindex(mdata.obs_names)
    (panel,) = draw(mdata, "rna:region", slide_key="section", slides=["s2"])
    drawn = [to_hex(c) for c in panel.collections[-1].get_facecolor()]
    assert drawn == [wanted[r] for r in adata.obs["region"][12:]]


def test_a_gene_without_values_and_an_empty_matrix_are_told(adata):
    bare = AnnData(obs=adata.obs, var=adata.var, obsm={"spatial": adata.obsm["spatial"], "none": np.zeros((N, 0))})
    with pytest.raises(SetupError, match="'EPCAM' has no values, as modality 'rna' has no X"):
        draw(bare, "EPCAM", slide_key="section")
    with pytest.raises(SetupError, match="'none:0' is neither a column"):
        draw(bare, "none:0", slide_key="section")


@pytest.mark.parametrize("kept", [True, {"is_single": True}])
def test_what_others_keep_where_scanpy_keeps_images_is_no_image(adata, kept):
    adata.uns["spatial"] = kept
    alone = adata[:12].copy()
    assert not draw(alone, "depth")[0].images


@image
def test_image_of_slides(mdata):
    pixels = np.linspace(0, 1, 3 * 2_000).reshape(40, 50, 3)
    entry = {"images": {"lowres": pixels}, "scalefactors": {"tissue_lowres_scalef": 0.5, "spot_diameter_fullres": 8.0}}
    mdata["rna"].uns["spatial"] = {"s1": entry}
    return without_text(mmvae.pl.spatial(mdata, ["rna:region", "w", "EPCAM"], slide_key="section", return_fig=True))
