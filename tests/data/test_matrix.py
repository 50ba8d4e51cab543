"""Scans, statistics and minibatches do not depend on how a matrix is stored."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pytest
import scipy.sparse as sp
import zarr

from mmvae.data import _matrix, feature_statistics
from mmvae.data.setup._scan import scan

RNG = np.random.default_rng(0)
COUNTS = RNG.poisson(1.0, (60, 7)).astype(np.float32)


@pytest.fixture(params=["dense", "csr", "csc", "backed dense", "backed csr", "backed csc", "zarr dense", "zarr csr"])
def stored(request, tmp_path):
    make = {"dense": np.asarray, "csr": sp.csr_matrix, "csc": sp.csc_matrix}[request.param.split()[-1]]
    if request.param.startswith("zarr"):
        group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=2)
        ad.io.write_elem(group, "X", make(COUNTS))
        return group["X"] if request.param == "zarr dense" else ad.io.sparse_dataset(group["X"])
    if not request.param.startswith("backed"):
        return make(COUNTS)
    ad.AnnData(make(COUNTS)).write_h5ad(tmp_path / "a.h5ad")
    return ad.read_h5ad(tmp_path / "a.h5ad", backed="r").X


def test_rows_come_in_the_order_asked_for(stored):
    rows = np.array([5, 2, 2, 59, 0])
    taken = _matrix.take(_matrix.by_rows(stored), rows)
    assert np.array_equal(taken.toarray() if sp.issparse(taken) else taken, COUNTS[rows])


@pytest.mark.parametrize("gap", [0, 2, 100])
def test_rows_between_those_wanted_are_left_out(stored, gap, monkeypatch):
    monkeypatch.setattr(_matrix, "GAP", gap)
    rows = np.array([40, 3, 5, 6, 41, 9, 58, 3])
    taken = _matrix.take(_matrix.by_rows(stored), rows)
    assert np.array_equal(taken.toarray() if sp.issparse(taken) else taken, COUNTS[rows])


def test_annbatch_reads_what_is_read_without_it(tmp_path, monkeypatch):
    read = []
    annbatch = pytest.importorskip("annbatch")
    monkeypatch.setattr(
        annbatch.Loader, "__iter__", lambda self, own=annbatch.Loader.__iter__: read.append(1) or own(self)
    )
    group = zarr.open_group(tmp_path / "a.zarr", mode="w")
    rows = np.array([3, 5, 6, 40, 41])
    for values in (COUNTS, sp.csr_matrix(COUNTS)):
        ad.io.write_elem(group, "X", values)
        stored = ad.io.sparse_dataset(group["X"]) if sp.issparse(values) else group["X"]
        found = []
        for has in (True, False):
            monkeypatch.setattr(_matrix, "HAS_ANNBATCH", has)
            taken = _matrix.take_ascending(stored, rows)
            found.append(taken.toarray() if sp.issparse(taken) else taken)
        assert np.array_equal(found[0], COUNTS[rows])
        assert np.array_equal(*found)
    assert len(read) == 2


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


@pytest.mark.parametrize("kind", [sp.csr_matrix, sp.csc_matrix])
def test_entries_that_stand_for_one_value_are_added_up(kind):
    """Sparse matrices may hold a value in several parts: here 1 + 1, in the first of four features."""
    parts = (np.ones(160, dtype=np.float32), np.tile([0, 0, 1, 2], 40), np.arange(0, 161, 4))
    matrix = kind(sp.csr_matrix(parts, shape=(40, 4)))
    dense = np.tile(np.float32([2, 1, 1, 0]), (40, 1))
    found, expected = scan(matrix), scan(dense)
    assert (found.maximum, found.n_several, found.n_odd) == (2, 40, expected.n_odd)
    np.testing.assert_allclose(feature_statistics(matrix).log_mean, feature_statistics(dense).log_mean)
    assert matrix.nnz == 160


def test_moments_of_a_scan_are_those_of_a_pass_of_their_own():
    found = scan(sp.csr_matrix(COUNTS), with_moments=True).moments.statistics()
    expected = feature_statistics(COUNTS)
    for field in ("mean", "sd", "log_mean", "log_sd", "proportion"):
        np.testing.assert_allclose(getattr(found, field), getattr(expected, field), rtol=1e-6)
    assert found.size_factor == expected.size_factor


def wrong(counts, n_wrong, value):
    values = counts.astype(np.float64)
    values[np.arange(n_wrong), 0] = value
    return values


LARGE = np.random.default_rng(0).poisson(5.0, (200, 10)) + 1.0


@pytest.mark.parametrize(
    ("values", "nearly"),
    [
        (wrong(LARGE, 1, -1), True),
        (wrong(LARGE, 20, 0.5), True),
        (wrong(LARGE, 30, 0.5), False),
        (wrong(LARGE[:10, :3], 1, 0.5), True),
        (wrong(LARGE > 4, 1, 0.5), False),
        (np.log1p(LARGE), False),
        (LARGE / LARGE.sum(1, keepdims=True) * 1e4, False),
        (LARGE - LARGE.mean(0), False),
        (wrong(LARGE, 1, np.nan), False),
        (LARGE, False),
    ],
    ids=["one", "1 %", "1.5 %", "one of few", "binary", "log", "scaled", "centred", "NaN", "counts"],
)
def test_few_values_that_are_no_counts_among_counts(values, nearly):
    assert scan(values).is_nearly_counts is nearly
    assert scan(sp.csr_matrix(values)).is_nearly_counts is nearly


@pytest.mark.parametrize("value", [1e39, -1e39, 1e19, np.inf])
def test_values_that_cannot_be_computed_with_are_not_finite(value):
    found = scan(wrong(LARGE, 2, value))
    assert (found.nonfinite.n, found.nonfinite.rows, found.nonfinite.values) == (2, [0, 1], [value, value])
    assert (found.negative.n, found.fractional.n) == (0, 0)


def test_half_precision_is_read_as_single():
    values = np.full((6, 100), 1000, dtype=np.float16)  # sums of cells are beyond half precision
    assert feature_statistics(values).size_factor == 100_000
    values[2, 3] = np.inf
    assert scan(values).nonfinite.rows == [2]
