"""Scans, statistics and minibatches do not depend on how a matrix is stored."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pytest
import scipy.sparse as sp

from mmvae.data import _matrix, feature_statistics
from mmvae.data.setup._scan import scan

RNG = np.random.default_rng(0)
COUNTS = RNG.poisson(1.0, (60, 7)).astype(np.float32)


@pytest.fixture(params=["dense", "csr", "csc", "backed dense", "backed csr", "backed csc"])
def stored(request, tmp_path):
    make = {"dense": np.asarray, "csr": sp.csr_matrix, "csc": sp.csc_matrix}[request.param.split()[-1]]
    if not request.param.startswith("backed"):
        return make(COUNTS)
    ad.AnnData(make(COUNTS)).write_h5ad(tmp_path / "a.h5ad")
    return ad.read_h5ad(tmp_path / "a.h5ad", backed="r").X


def test_rows_come_in_the_order_asked_for(stored):
    rows = np.array([5, 2, 2, 59, 0])
    taken = _matrix.take(_matrix.by_rows(stored), rows)
    assert np.array_equal(taken.toarray() if sp.issparse(taken) else taken, COUNTS[rows])


def test_scan_is_the_same(stored, monkeypatch):
    monkeypatch.setattr(_matrix, "BLOCK_VALUES", 50)
    found = scan(stored)
    assert found.is_counts
    assert found.maximum == COUNTS.max()
    assert found.n_empty == (COUNTS.sum(1) == 0).sum()


def test_statistics_are_the_same(stored, monkeypatch):
    monkeypatch.setattr(_matrix, "BLOCK_VALUES", 50)
    statistics = feature_statistics(stored)
    assert np.allclose(statistics.mean, COUNTS.mean(0), atol=1e-5)
    assert np.allclose(statistics.sd, COUNTS.std(0), atol=1e-4)
    assert np.allclose(statistics.log_mean, np.log1p(COUNTS).mean(0), atol=1e-5)
    assert np.allclose(statistics.log_sd, np.log1p(COUNTS).std(0), atol=1e-4)
    assert statistics.size_factor == np.median(COUNTS.sum(1))


def test_a_small_spread_on_a_large_mean_is_kept_and_a_constant_has_none():
    rng = np.random.default_rng(0)
    values = np.stack([rng.normal(1000, 0.1, 500), np.full(500, 3.3)], axis=1)
    statistics = feature_statistics(values)
    assert statistics.sd[0].item() == pytest.approx(0.1, rel=0.1)
    assert statistics.sd[1].item() == 0


def test_scan_finds_every_kind_of_fault():
    values = np.ones((10, 4))
    values[3, 1], values[4, 2], values[7, 0] = np.nan, -2, 0.5
    for matrix in (values, sp.csr_matrix(values), sp.csc_matrix(values)):
        found = scan(matrix)
        assert (found.nonfinite.n, found.negative.n, found.fractional.n) == (1, 1, 1)
        assert (found.nonfinite.rows, found.negative.rows, found.fractional.values) == ([3], [4], [0.5])
