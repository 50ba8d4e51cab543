"""Eigenvalues of a graph's Laplacian: N nodes."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
import torch
from scipy.linalg import eigvals_banded
from scipy.sparse.csgraph import connected_components, laplacian, reverse_cuthill_mckee
from torch import Tensor

EXACT_UP_TO = 10_000
"""Nodes of a connected part up to which its eigenvalues are computed one by one."""
N_PROBES, N_STEPS = 16, 80
N_VALUES = 4_096
"""Eigenvalues to keep; of more, neighbours in size are merged into their mean."""


class Spectrum(NamedTuple):
    """Eigenvalues of a Laplacian, ``(n_values,)``, and the share of the nodes that each stands for, which sum to 1."""

    values: Tensor
    shares: Tensor

    def mean(self, of_eigenvalue: Tensor) -> Tensor:
        """Mean over the nodes of what was computed of each eigenvalue, ``(n_values, ...)``."""
        return torch.tensordot(self.shares, of_eigenvalue, dims=1)

    def to(self, device: torch.device) -> Spectrum:
        """The same on another device."""
        return Spectrum(self.values.to(device), self.shares.to(device))


def spectrum_of(graph: sp.csr_matrix) -> Spectrum:
    """Spectrum of the Laplacian of a symmetric graph, connected part by connected part."""
    n_nodes = graph.shape[0]
    _, part = connected_components(graph, directed=False)
    order = np.argsort(part, kind="stable")
    ends = np.cumsum(np.bincount(part))
    sorted_graph = graph[order][:, order]
    parts = [_of_part(sorted_graph[start:end, start:end]) for start, end in zip([0, *ends[:-1]], ends, strict=True)]
    values, counts = np.concatenate(parts, axis=1) if parts else np.zeros((2, 0))
    return Spectrum(*(torch.as_tensor(v, dtype=torch.float32) for v in _merged(values, counts / max(n_nodes, 1))))


def _merged(values: np.ndarray, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if len(values) <= N_VALUES:
        return values, shares
    order = np.argsort(values)
    values, shares = values[order], shares[order]
    group = ((np.cumsum(shares) - shares / 2) * N_VALUES).astype(int)
    together = np.bincount(group, shares)
    keep = together > 0
    return np.bincount(group, shares * values)[keep] / together[keep], together[keep]


def _of_part(graph: sp.csr_matrix) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues of a connected graph's Laplacian, and the number of nodes that each stands for."""
    n_nodes = graph.shape[0]
    if n_nodes == 1:
        return np.zeros(1), np.ones(1)
    matrix = sp.csr_matrix(laplacian(graph.astype(np.float64)))
    if n_nodes <= EXACT_UP_TO:
        return eigvals_banded(_banded(matrix), lower=True).clip(min=0), np.ones(n_nodes)
    return _quadrature(matrix)


def _banded(matrix: sp.csr_matrix) -> np.ndarray:
    """Diagonals of a symmetric matrix, from the main one down, few by its order: ten times as quick for places on a plane."""
    order = reverse_cuthill_mckee(matrix, symmetric_mode=True)
    entries = sp.coo_matrix(sp.tril(matrix[order][:, order]))
    below = entries.row - entries.col
    diagonals = np.zeros((int(below.max()) + 1, matrix.shape[0]))
    diagonals[below, entries.col] = entries.data
    return diagonals


def _quadrature(matrix: Any) -> tuple[np.ndarray, np.ndarray]:
    r"""Points and weights with :math:`\sum_j w_j f(x_j) \approx \operatorname{tr} f(A)`, by stochastic Lanczos quadrature.

    Random signs are the probes :cite:p:`Ubaru2017`. All go through the recurrence together, which takes memory for three
    vectors of each. It is not re-orthogonalised: that repeats points, and shares their weight among them.
    """
    n_nodes = matrix.shape[0]
    signs = np.random.default_rng(0).choice([-1.0, 1.0], size=(n_nodes, N_PROBES))
    vector, before = signs / np.sqrt(n_nodes), np.zeros((n_nodes, N_PROBES))
    diagonal, beside = np.zeros((N_STEPS, N_PROBES)), np.zeros((N_STEPS, N_PROBES))
    for step in range(N_STEPS):
        product = matrix @ vector - (beside[step - 1] * before if step else 0)
        diagonal[step] = (product * vector).sum(axis=0)
        product -= diagonal[step] * vector
        beside[step] = np.linalg.norm(product, axis=0)
        vector, before = product / np.maximum(beside[step], 1e-12), vector
    points, weights = [], []
    for probe in range(N_PROBES):
        off = beside[:-1, probe]
        own, vectors = np.linalg.eigh(np.diag(diagonal[:, probe]) + np.diag(off, 1) + np.diag(off, -1))
        points.append(own.clip(min=0))
        weights.append(vectors[0] ** 2 * n_nodes / N_PROBES)
    return np.concatenate(points), np.concatenate(weights)
