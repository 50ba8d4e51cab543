from __future__ import annotations

import anndata
import mudata
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse

import mmvae
from mmvae.tl._domains import _smoothed

N_ROWS, N_COLUMNS = 12, 30
SIZES = {"a": 180, "b": 108, "c": 72}


def sections(n_sections: int = 2, noise: float = 0.3) -> AnnData:
    """Squares of spots in three stripes, whose embedding has an own mean and one covariance that is no sphere."""
    row, column = np.divmod(np.tile(np.arange(N_ROWS * N_COLUMNS), n_sections), N_COLUMNS)
    truth = np.select([column < 15, column < 24], ["a", "b"], "c")
    generator = np.random.default_rng(0)
    means = {"a": [0, 0, 0], "b": [0, 2, 0], "c": [0, 2, 2]}
    points = np.array([means[name] for name in truth]) + generator.normal(size=(len(truth), 3)) * [4.0, noise, noise]
    obs = pd.DataFrame(
        {"region": truth, "section": np.repeat([f"s{k}" for k in range(n_sections)], len(truth) // n_sections)}
    )
    obs.index = [f"spot{i}" for i in range(len(truth))]
    counts = sparse.csr_matrix(generator.poisson(1.0, (len(truth), 4)).astype(np.float32))
    adata = AnnData(counts, obs=obs, var=pd.DataFrame(index=list("wxyz")), obsm={"X_mmvae": points})
    adata.obsm["spatial"] = np.stack([row, column], axis=1).astype(float)
    return adata


def with_neighbours(adata: AnnData) -> mudata.MuData:
    mdata = mmvae.pp.spatial(adata, slide_key="section")
    mdata.obsm["X_mmvae"] = adata.obsm["X_mmvae"]
    return mdata


def accuracy(data) -> float:
    """Share of cells in their region, where the largest domain is the largest region."""
    names = {str(k): name for k, name in enumerate(SIZES)}
    return float((data.obs["mmvae_domain"].astype(str).map(names) == data.obs["region"]).mean())


def test_a_mixture_finds_domains_of_any_shape():
    adata = sections()
    mmvae.tl.domains(adata, 3)
    assert accuracy(adata) > 0.99
    assert adata.obs["mmvae_domain"].value_counts(sort=False).to_list() == [2 * n for n in SIZES.values()]
    assert "resolution" not in adata.uns["mmvae_domain"]


def test_domains_have_no_scale():
    adata = sections()
    adata.obsm["X_mmvae"] *= 1e-4
    mmvae.tl.domains(adata, 3)
    assert accuracy(adata) > 0.99


def test_dimensions_that_hold_nothing_do_not_count():
    adata = sections()
    # two groups that have nothing to do with regions, in what a model has given up
    given_up = 1e-3 * np.random.default_rng(1).choice([-1.0, 1.0], size=(adata.n_obs, 4))
    adata.obsm["X_mmvae"] = np.hstack([adata.obsm["X_mmvae"] / [4.0, 1.0, 1.0], given_up])
    mmvae.tl.domains(adata, 3)
    assert accuracy(adata) > 0.99


@pytest.mark.parametrize("method", ["mixture", "leiden"])
def test_how_many_is_leidens_number_where_it_is_not_given(method):
    pytest.importorskip("igraph")
    adata = sections()
    adata.obsm["X_mmvae"] /= [20.0, 1.0, 1.0]
    mmvae.tl.domains(adata, method=method)
    assert accuracy(adata) > 0.99
    assert adata.uns["mmvae_domain"]["params"]["n_domains"] == 3
    assert adata.uns["mmvae_domain"]["resolution"] == 0.2


def test_igraph_is_asked_for_where_it_is_needed(monkeypatch):
    monkeypatch.setattr("mmvae.tl._partition.find_spec", lambda name: None)
    adata = sections()
    with pytest.raises(ImportError, match="pip install igraph, or give n_domains"):
        mmvae.tl.domains(adata)
    assert "mmvae_domain" not in adata.obs
    mmvae.tl.domains(adata, 3)


def test_leiden_finds_as_many_as_asked():
    pytest.importorskip("igraph")
    adata = sections()
    adata.obsm["X_mmvae"] /= [4.0, 1.0, 1.0]
    mmvae.tl.domains(adata, 3, method="leiden")
    assert accuracy(adata) > 0.99
    assert 0 < adata.uns["mmvae_domain"]["resolution"] < 1
    with pytest.raises(ValueError, match="Leiden finds 700 domains"):
        mmvae.tl.domains(adata, 700, method="leiden")


def test_refinement_takes_the_neighbours_domain():
    mdata = with_neighbours(sections(noise=0.8))
    mmvae.tl.domains(mdata, 3)
    before = accuracy(mdata)
    mmvae.tl.domains(mdata, 3, refine=2)
    assert accuracy(mdata) > before + 0.02 > 0.8


def test_refinement_is_the_majority_of_neighbours_on_the_same_section_and_a_tie_keeps_its_own():
    # a row of spots on each of two sections in one place, whose domains are told by the embedding's sign
    adata = sections()[[0, 1, 2, 3, 360, 361, 362, 363, 30]].copy()
    adata.obsm["spatial"] = np.array([[0.0, k] for k in (0, 1, 2, 3, 0, 1, 2, 3, 40)])
    adata.obs["section"] = list("aaaabbbbb")
    mdata = mmvae.pp.spatial(adata, slide_key="section", radius=1.0)
    sign = np.array([1, -1, 1, 1, -1, -1, 1, -1, 1])
    mdata.obsm["X_mmvae"] = sign[:, None] * 10.0 + np.random.default_rng(0).normal(size=(9, 1))
    with pytest.warns(UserWarning, match="1 cell has no neighbours"):
        mmvae.tl.domains(mdata, 2, refine=1)
    found = np.where(mdata.obs["mmvae_domain"] == mdata.obs["mmvae_domain"].iloc[2], 1, -1)
    # ends have one neighbour; the third has one of either kind
    np.testing.assert_array_equal(found, [-1, 1, 1, 1, -1, -1, -1, 1, 1])


def test_cells_without_an_embedding_get_no_domain():
    adata = sections()
    adata.obsm["X_mmvae"][[0, 5]] = np.nan
    with pytest.warns(UserWarning, match="2 cells have no finite 'X_mmvae'"):
        mmvae.tl.domains(adata, 3)
    assert adata.obs["mmvae_domain"].isna().to_numpy().nonzero()[0].tolist() == [0, 5]


def test_how_it_was_found_survives_a_file(tmp_path):
    adata = sections()
    mmvae.tl.domains(adata, 3, key_added="layers")
    adata.write_h5ad(tmp_path / "out.h5ad")
    back = anndata.read_h5ad(tmp_path / "out.h5ad")
    assert back.uns["layers"]["params"] == {
        "use_rep": "X_mmvae",
        "method": "mixture",
        "smooth": 0,
        "refine": 0,
        "random_state": 0,
        "n_domains": 3,
    }
    assert list(back.obs["layers"].cat.categories) == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"use_rep": "X_pca"}, r"use_rep as one of \['X_mmvae', 'spatial'\]; got 'X_pca'"),
        ({"method": "kmeans"}, r"method as one of \['mixture', 'leiden'\]; got 'kmeans'"),
        ({"n_domains": 2.5}, "n_domains as a whole number above 0; got 2.5"),
        ({"n_domains": 721}, "at least 721 cells that differ in 'X_mmvae', as many as domains; got 720"),
        ({"refine": -1}, "refine as a whole number of at least 0; got -1"),
        ({"refine": 1}, "neighbours in space .* to smooth or refine by; got none"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_written(arguments, message):
    adata = sections()
    with pytest.raises(ValueError, match=message):
        mmvae.tl.domains(adata, **arguments)
    assert "mmvae_domain" not in adata.obs
    assert "mmvae_domain" not in adata.uns


def test_smoothing_finds_domains_whose_cells_are_of_all_kinds():
    adata = sections(noise=2.0)
    mdata = with_neighbours(adata)
    before = mdata.obsm["X_mmvae"].copy()
    mmvae.tl.domains(mdata, 3)
    plain = accuracy(mdata)
    mmvae.tl.domains(mdata, 3, smooth=2)
    assert accuracy(mdata) > plain + 0.3
    np.testing.assert_array_equal(mdata.obsm["X_mmvae"], before)
    assert mdata.uns["mmvae_domain"]["params"]["smooth"] == 2


def test_smoothing_leaves_sections_and_lone_cells_to_themselves():
    graph = sparse.csr_matrix(np.array([[0, 1, 0], [1, 0, 0], [0, 0, 0]], dtype=float))
    found = _smoothed(np.array([[0.0], [2.0], [9.0]]), graph, 3)
    np.testing.assert_allclose(found.ravel(), [1, 1, 9])


@pytest.mark.parametrize("argument", ["smooth", "refine"])
def test_cells_whose_neighbours_all_lack_the_embedding_are_named(argument):
    mdata = with_neighbours(sections())
    around = mdata["spatial"].obsp["spatial_connectivities"][0].indices
    mdata.obsm["X_mmvae"][around] = np.nan
    with pytest.warns(UserWarning, match="1 cell has no neighbours in space with 'X_mmvae'"):
        with pytest.warns(UserWarning, match=f"{len(around)} cells have no finite"):
            mmvae.tl.domains(mdata, 3, **{argument: 1})
    assert mdata.obs["mmvae_domain"].notna().iloc[0]
