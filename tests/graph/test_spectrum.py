"""Eigenvalues of Laplacians."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from mmvae.graph import _cells, spectrum_of


def grid(rows: int, columns: int) -> sp.csr_matrix:
    """Spots of a square lattice, each with its 2 to 4 neighbours."""
    row, column = (sp.diags([1.0, 1.0], [1, -1], shape=(n, n)) for n in (rows, columns))
    return sp.csr_matrix(sp.kron(row, sp.eye(columns)) + sp.kron(sp.eye(rows), column))


@pytest.mark.parametrize(("precision", "smoothness"), [(1.0, 1.0), (0.05, 1.0), (0.2, 5.0)])
def test_large_graphs_have_nearly_the_exact_log_determinant(monkeypatch, precision, smoothness):
    graph = grid(60, 70)
    exact = spectrum_of(graph)
    monkeypatch.setattr(_cells, "EXACT_UP_TO", 100)
    rough = spectrum_of(graph)
    assert len(rough.values) < len(exact.values)
    assert float(rough.shares.sum()) == pytest.approx(1.0, abs=1e-4)
    found, wanted = (s.mean((precision + smoothness * s.values).log()) for s in (rough, exact))
    assert float(found) == pytest.approx(float(wanted), abs=0.01)


def test_merging_many_eigenvalues_changes_little(monkeypatch):
    graph = grid(50, 50)
    exact = spectrum_of(graph)
    monkeypatch.setattr(_cells, "N_VALUES", 256)
    merged = spectrum_of(graph)
    assert len(merged.values) <= 256
    assert float(merged.shares.sum()) == pytest.approx(1.0, abs=1e-5)
    for precision in (0.01, 1.0):
        found, wanted = (s.mean((precision + s.values).log()) for s in (merged, exact))
        assert float(found) == pytest.approx(float(wanted), abs=1e-3)


def test_eigenvalues_are_those_of_the_laplacian():
    graph = sp.block_diag([grid(6, 7), sp.csr_matrix((2, 2)), grid(3, 3)], format="csr")
    shuffled = np.random.default_rng(0).permutation(graph.shape[0])
    graph = graph[shuffled][:, shuffled]
    dense = np.diag(graph.toarray().sum(axis=1)) - graph.toarray()
    np.testing.assert_allclose(np.sort(spectrum_of(graph).values), np.linalg.eigvalsh(dense), atol=1e-4)
