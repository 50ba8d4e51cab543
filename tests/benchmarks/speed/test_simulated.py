"""Simulated cells have the sizes that are asked for, and depths that do not hang on them."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from benchmarks.speed import _simulated
from benchmarks.speed._sets import SETS
from benchmarks.speed._simulated import DEPTH, TYPE, Size, dense_counts, repeated, simulated, sparse_counts


def test_modalities_have_their_sizes_and_protein_alone_is_dense():
    mdata = simulated(Size(40, rna=30, protein=4))
    assert {name: adata.shape for name, adata in mdata.mod.items()} == {"rna": (40, 30), "protein": (40, 4)}
    assert sp.issparse(mdata["rna"].X)
    assert not sp.issparse(mdata["protein"].X)
    assert mdata.obs[TYPE].nunique() > 1
    np.testing.assert_array_equal(simulated(Size(40, rna=30))["rna"].X.toarray(), mdata["rna"].X.toarray())


@pytest.mark.parametrize("draw", [sparse_counts, dense_counts])
@pytest.mark.parametrize("n_features", [50, 5_000])
def test_the_depth_of_cells_is_the_same_in_few_features_and_in_many(draw, n_features):
    drawn = draw(np.random.default_rng(0), np.arange(400) % _simulated.N_TYPES, n_features, DEPTH["rna"])
    assert drawn.shape == (400, n_features)
    assert drawn.dtype == np.float32
    assert drawn.sum(axis=1).mean() == pytest.approx(DEPTH["rna"], rel=0.1)


@pytest.mark.parametrize("draw", [sparse_counts, dense_counts])
def test_types_differ_in_what_they_express(draw):
    cell_type = np.repeat([0, 1], 50)
    drawn = np.asarray(sp.csr_matrix(draw(np.random.default_rng(0), cell_type, 100, 1_000)).todense())
    profiles = np.stack([drawn[cell_type == number].mean(axis=0) for number in (0, 1)])
    halves = np.stack([drawn[:25].mean(axis=0), drawn[25:50].mean(axis=0)])
    assert np.corrcoef(profiles)[0, 1] < 0.6 < 0.95 < np.corrcoef(halves)[0, 1]


def test_more_cells_than_are_drawn_are_the_same_again(monkeypatch):
    monkeypatch.setattr(_simulated, "MOST_DRAWN", 20)
    mdata = simulated(Size(50, rna=10, protein=3))
    assert mdata.shape == (50, 13)
    assert mdata.obs_names.is_unique
    for adata in mdata.mod.values():
        values = adata.X.toarray() if sp.issparse(adata.X) else adata.X
        np.testing.assert_array_equal(values[:20], values[20:40])


def test_cells_are_repeated_by_name_where_modalities_have_orders_of_their_own():
    mdata = simulated(Size(12, rna=5, protein=3))
    turned = mdata["protein"][::-1].copy()
    mixed = type(mdata)({"rna": mdata["rna"], "protein": turned})
    mixed.obs = mdata.obs.loc[mixed.obs_names].copy()
    found = repeated(mixed, 30)
    np.testing.assert_array_equal(found["protein"].X[:12], mdata["protein"].X)
    np.testing.assert_array_equal(found["rna"].X[12:24].toarray(), mdata["rna"].X.toarray())
    assert list(found.obs[TYPE][12:24]) == list(mdata.obs[TYPE])


def test_a_simulated_set_is_cut_but_not_exceeded(tiny, tmp_path):
    assert SETS["peaks"].cells(tmp_path, 30, again=False).n_obs == 30
    assert SETS["peaks"].cells(tmp_path, 1_000, again=True).n_obs == 80
    assert SETS["peaks"].cells(tmp_path, None, again=False).n_obs == 80


def test_a_real_set_is_cut_or_repeated(tmp_path):
    from benchmarks.data import DataSet
    from benchmarks.speed._sets import Real

    simulated(Size(30, rna=10, protein=3)).write(tmp_path / "cells.h5mu")
    real = Real(DataSet("cells.h5mu", TYPE), ())
    sizes = [
        real.cells(tmp_path, n, again=again).n_obs for n, again in ((20, False), (99, False), (99, True), (None, True))
    ]
    assert sizes == [20, 30, 99, 30]
