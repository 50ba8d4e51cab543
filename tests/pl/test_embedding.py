"""Cells on embeddings."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from images import image, without_text
from matplotlib.colors import to_hex

import mmvae
from mmvae import SetupError

GREY = to_hex("lightgray")


def draw(data, color, **kwargs):
    return mmvae.pl.embedding(data, color, show=False, **kwargs)


def dots(panel):
    """Places and values of the dots of a panel, those without a value as NaN."""
    (cells,) = [c for c in panel.collections if len(c.get_offsets())]
    return np.asarray(cells.get_offsets()), np.ma.filled(cells.get_array().astype(float), np.nan)


def by_place(panel):
    """Values by the first coordinate, which no two cells share."""
    places, values = dots(panel)
    return pd.Series(values, index=places[:, 0])


def expected(mosaic, modality, feature):
    """The same from the data."""
    values = mosaic[modality][:, feature].to_df()[feature].reindex(mosaic.obs_names)
    return values.set_axis(mosaic.obsm["X_umap"][:, 0])


@pytest.mark.parametrize("modality", ["rna", "protein"])
def test_a_feature_is_drawn_where_its_cells_lie(mosaic, modality):
    panel = draw(mosaic, f"{modality}:CD4")
    values = expected(mosaic, modality, "CD4")
    pd.testing.assert_series_equal(
        by_place(panel).sort_index(), values.sort_index(), check_names=False, check_dtype=False
    )
    n_cells = {"rna": 48, "protein": 40}[modality]
    assert panel.get_title() == f"{modality}:CD4\n{n_cells} of 60 cells"
    assert (panel.get_xlabel(), panel.get_ylabel()) == ("UMAP1", "UMAP2")


def test_cells_without_the_modality_lie_beneath_in_grey(mosaic):
    panel = draw(mosaic, "MS4A1")
    _, values = dots(panel)
    assert np.isnan(values[:12]).all()
    assert (np.diff(values[12:]) >= 0).all()
    (cells,) = [c for c in panel.collections if len(c.get_offsets())]
    cells.update_scalarmappable()
    panel.figure.canvas.draw()
    assert {to_hex(c) for c in cells.get_facecolor()[:12]} == {GREY}


def test_colours_make_panels_in_rows(mosaic):
    axes = draw(mosaic, ["MS4A1", "cluster", "mmvae_pattern", "X_umap:0"], ncols=3)
    assert [panel.get_title() for panel in axes] == ["MS4A1\n48 of 60 cells", "cluster", "mmvae_pattern", "X_umap:0"]
    assert [panel.get_subplotspec().rowspan.start for panel in axes] == [0, 0, 0, 1]
    assert [text.get_text() for text in axes[1].get_legend().get_texts()] == ["B", "NK", "T"]


def test_patterns_are_what_was_measured_the_most_frequent_first(mosaic):
    legend = draw(mosaic, "mmvae_pattern").get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["rna+protein", "rna", "protein"]


def test_imputed_values_have_a_panel_of_their_own(mosaic):
    lacking = mosaic.obs_names[48:]
    imputed = pd.DataFrame({"CD4": np.arange(12.0), "MS4A1": np.ones(12)}, index=lacking)
    axes = draw(mosaic, ["rna:CD4", "protein:CD4"], imputed={"rna": imputed})
    titles = ["rna:CD4\n48 of 60 cells", "rna:CD4, imputed\n12 of 60 cells", "protein:CD4\n40 of 60 cells"]
    assert [panel.get_title() for panel in axes] == titles
    given = pd.Series(np.arange(12.0), index=mosaic.obsm["X_umap"][48:, 0])
    pd.testing.assert_series_equal(by_place(axes[1]).dropna().sort_index(), given.sort_index())


@pytest.mark.parametrize("kind", ["frame", "file"])
def test_a_modality_that_no_cell_has_can_be_imputed(mosaic, kind):
    imputed = pd.DataFrame({"peak": np.arange(60.0)}, index=mosaic.obs_names)
    panel = draw(mosaic, "atac:peak", imputed={"atac": AnnData(imputed) if kind == "file" else imputed})
    assert panel.get_title() == "atac:peak, imputed"
    assert sorted(dots(panel)[1]) == list(range(60))


def test_values_are_those_of_the_layer_asked_for(mosaic):
    mosaic["rna"].layers["twice"] = 2 * mosaic["rna"].X
    twice, once = (by_place(draw(mosaic, "MS4A1", layer=layer)) for layer in ("twice", None))
    pd.testing.assert_series_equal(twice, 2 * once)


def test_colours_of_categories_are_kept_or_safe_or_given(mosaic):
    def colours(**kwargs):
        legend = draw(mosaic, "cluster", **kwargs).get_legend()
        handles = zip(legend.get_texts(), legend.legend_handles, strict=True)
        return {text.get_text(): to_hex(handle.get_facecolor()[0]) for text, handle in handles}

    assert list(colours().values()) == ["#0072b2", "#e69f00", "#009e73"]
    given = {"B": "#ff0000", "T": "#00ff00", "NK": "#0000ff"}
    assert colours(palette=given) == given
    assert colours(palette="tab10")["B"] == "#1f77b4"
    mosaic.uns["cluster_colors"] = ["#111111", "#222222", "#333333"]
    assert list(colours().values()) == ["#111111", "#222222", "#333333"]


def test_categories_lie_in_mixed_order(mosaic):
    colours = [c for c in draw(mosaic, "batch").collections if len(c.get_offsets())][0].get_facecolor()
    first = [to_hex(c) for c in colours[:30]]
    assert 5 < first.count("#0072b2") < 25


def test_arguments_of_scanpy_reach_their_cells_and_panels(mosaic):
    sizes = np.where(mosaic.obs["cluster"] == "B", 50.0, 5.0)
    axes = draw(mosaic, ["MS4A1", "X_umap:0"], size=sizes, vmax=[3, "p50"], cmap="magma")
    for panel in axes:
        (cells,) = [c for c in panel.collections if len(c.get_offsets())]
        drawn = pd.Series(cells.get_sizes(), index=np.asarray(cells.get_offsets())[:, 0]).sort_index()
        np.testing.assert_array_equal(drawn, pd.Series(sizes, index=mosaic.obsm["X_umap"][:, 0]).sort_index())
        assert cells.get_cmap().name == "magma"
    assert axes[0].collections[-1].get_clim()[1] == 3
    assert axes[1].collections[-1].get_clim()[1] == pytest.approx(np.median(mosaic.obsm["X_umap"][:, 0]))


def test_nothing_of_the_data_is_changed(mosaic):
    before = list(mosaic.uns), list(mosaic.obs), list(mosaic.obsm)
    draw(mosaic, ["cluster", "MS4A1", "mmvae_pattern"])
    assert (list(mosaic.uns), list(mosaic.obs), list(mosaic.obsm)) == before


def test_the_name_of_an_embedding_may_be_short_and_the_data_an_anndata(mosaic):
    cells = AnnData(obs=mosaic.obs, obsm={"X_umap": mosaic.obsm["X_umap"]})
    assert len(dots(draw(cells, "X_umap:1", basis="umap"))[0]) == 60


@pytest.mark.parametrize("n_categories", [45, 60])
def test_legends_however_large_hide_nothing(mosaic, n_categories):
    mosaic.obs["type"] = pd.Categorical([f"CD8+ T cells, type {i % n_categories}" for i in range(mosaic.n_obs)])
    axes = draw(mosaic, ["type", "batch", "type"], ncols=2)
    figure = axes[0].figure
    figure.draw_without_rendering()
    boxes = [panel.get_window_extent() for panel in axes]
    legends = [panel.get_legend().get_window_extent() for panel in axes]
    assert all(box.width > 3 * figure.dpi for box in boxes)
    assert all(not legend.overlaps(box) for legend in legends for box in boxes)
    assert all(figure.bbox.x0 <= legend.x0 and legend.x1 <= figure.bbox.x1 for legend in legends)
    assert sum(legend.overlaps(other) for legend in legends for other in legends) == len(legends)


def test_given_axes_are_drawn_on(mosaic):
    panel = plt.subplots()[1]
    assert draw(mosaic, "cluster", ax=panel) is panel


def test_a_figure_is_saved_and_returned(mosaic, tmp_path):
    target = tmp_path / "umap.png"
    figure = mmvae.pl.embedding(mosaic, "cluster", save=target, return_fig=True)
    assert figure is plt.gcf()
    assert plt.imread(target).shape[1] > 300
    assert [path.name for path in tmp_path.iterdir()] == ["umap.png"]


@pytest.mark.parametrize("name", ["umap", "umap_v1.5", True], ids=str)
def test_a_file_without_the_ending_of_a_format_is_refused(mosaic, tmp_path, name):
    target = tmp_path / name if isinstance(name, str) else name
    with pytest.raises(
        ValueError, match=r"Expected save as the name of a file that ends in .*'png'.*; got '.*(umap|True)"
    ):
        draw(mosaic, "cluster", save=target)
    assert list(tmp_path.iterdir()) == []


def test_a_figure_that_cannot_be_written_leaves_the_old_one(mosaic, tmp_path):
    target = tmp_path / "umap.nothing"
    target.write_text("old")
    with pytest.raises(ValueError, match="nothing"):
        draw(mosaic, "cluster", save=target)
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["umap.nothing"]


def test_all_faults_are_told_at_once(mosaic):
    imputed = pd.DataFrame({"CD19": [1.0]}, index=["someone"])
    with pytest.raises(SetupError) as caught:
        draw(mosaic, ["ms4a1", "CD4", "CD19"], basis="X_umpa", imputed={"protein": imputed}, ncols=0, size=[1, 2])
    for part in (
        "'ms4a1' is neither a column of obs, nor a feature of a modality",
        "Is it ['MS4A1'",
        "'CD4' is a feature of several modalities. Name one: ['rna:CD4', 'protein:CD4']",
        "imputed has 'CD19' for none of the cells: it names such as ['someone'], the data ['c0', 'c1']",
        "obsm has no embedding 'X_umpa'; it has ['X_umap']. Is it ['X_umap']?",
        "Expected ncols as a whole number above 0; got 0",
        "size has 2 values, for 60 cells",
    ):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("color", "kwargs", "message"),
    [
        ("MS4A1", {"layer": "logs"}, r"modality 'rna' has no layer 'logs'; it has \[\]"),
        (["MS4A1", "cluster"], {"ax": 1}, "ax is one of axes, for 2 panels"),
        (["MS4A1", "cluster"], {"vmax": [1]}, "vmax has 1 values, for 2 panels"),
        ("cluster", {"palette": {"B": "red"}}, r"palette has no colour of \['NK', 'T'\] of 'cluster'"),
        ([], {}, "color is empty"),
        ("rna:cd4", {}, r"'rna:cd4' is neither .* Is it \['rna:CD4'"),
        (
            "cluster",
            {"imputed": {"protien": pd.DataFrame()}},
            r"imputed has values of \['protien'\], which are neither",
        ),
    ],
)
def test_a_fault_is_told(mosaic, color, kwargs, message):
    with pytest.raises(SetupError, match=message):
        draw(mosaic, color, **kwargs)


@image
def test_image_of_embedding(mosaic):
    imputed = {"protein": pd.DataFrame({"CD4": np.arange(60.0)}, index=mosaic.obs_names)}
    colours = ["protein:CD4", "cluster", "mmvae_pattern"]
    figure = mmvae.pl.embedding(mosaic, colours, imputed=imputed, ncols=2, size=60, return_fig=True)
    return without_text(figure)
