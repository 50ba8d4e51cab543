"""Graph of N cells with a memory of their posteriors, and its Laplacian's eigenvalues: D dimensions, W the highest degree."""

from collections.abc import Callable
from typing import Any, NamedTuple, Self

import numpy as np
import scipy.sparse as sp
import torch
from scipy.linalg import eigvals_banded
from scipy.sparse.csgraph import connected_components, laplacian, reverse_cuthill_mckee
from torch import Tensor

TENSORS = ("members", "starts", "degrees", "targets", "weights", "mean", "variance", "seen")
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

    def to(self, device: torch.device) -> "Spectrum":
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


class CellGraph:
    """A graph of cells with a memory of their posteriors, for :class:`~mmvae.priors.GaussianMarkovField`.

    Without :meth:`fill` there is a graph but no memory. Everything moves to the latents' device once, see :meth:`to`.

    Edges are kept row after row, and only those of a minibatch are padded to a table as wide as the highest degree. So
    shapes do not depend on which cells a minibatch holds, and a cell of very many neighbours costs memory in the
    minibatch but not in a table of all cells.

    Parameters
    ----------
    graph
        Symmetric weights, 0 on the diagonal, ``(n_cells, n_cells)``. Edges lead between ``members`` alone.
    members
        Which cells have the latent, boolean, ``(n_cells,)``.
    source
        Name of the data that hold the cells and of the graph.
    """

    # What is made in inference mode could not be part of a training step later.
    @torch.inference_mode(False)
    def __init__(self, graph: sp.csr_matrix, members: np.ndarray, source: str | None = None) -> None:
        self.source = source
        self._inside = graph[members][:, members]
        self._spectrum: Spectrum | None = None
        degrees = np.diff(graph.indptr)
        self.width = int(degrees.max(initial=0))
        self.members = torch.as_tensor(members)
        self.starts, self.degrees, self.targets = (
            torch.as_tensor(part.astype(np.int64)) for part in (graph.indptr[:-1], degrees, graph.indices)
        )
        self.weights = torch.as_tensor(graph.data, dtype=torch.float32)
        self.mean = self.variance = torch.zeros(len(members), 0)
        # Cells whose posteriors were remembered since processes last compared.
        self.seen = torch.zeros(len(members), dtype=torch.bool)

    @property
    def is_filled(self) -> bool:
        """Whether the memory holds all cells' posteriors."""
        return self.mean.shape[1] > 0

    @property
    @torch.inference_mode(False)
    def spectrum(self) -> Spectrum:
        """Eigenvalues of the Laplacian over the members."""
        if self._spectrum is None:
            self._spectrum = spectrum_of(self._inside).to(self.weights.device)
        return self._spectrum

    @torch.inference_mode(False)
    @torch.no_grad()
    def fill(self, mean: Tensor, variance: Tensor) -> None:
        """Remember all cells' posteriors, each ``(n_cells, n_latent)``, and compute the spectrum before any step needs it."""
        self.mean, self.variance = (
            torch.where(self.members[:, None], part.to(self.weights.device), 0.0) for part in (mean, variance)
        )
        self._spectrum = self.spectrum

    def clear(self) -> None:
        """Forget the posteriors, as where the encoders have changed; the spectrum stays."""
        self.mean = self.variance = self.mean.new_zeros(len(self.members), 0)

    @torch.inference_mode(False)
    def to(self, device: torch.device) -> Self:
        """Move there, if it is not there yet; the graph itself is given back."""
        if self.weights.device != device:
            for name in TENSORS:
                setattr(self, name, getattr(self, name).to(device))
            if self._spectrum is not None:
                self._spectrum = self._spectrum.to(device)
        return self

    def edges(self, cells: Tensor) -> tuple[Tensor, Tensor]:
        """Edges that leave ``cells``: those at the other end, and weights, 0 where padded, each ``(n_cells, W)``."""
        column = torch.arange(self.width, device=cells.device)
        place = (self.starts[cells][:, None] + column).clamp_max(len(self.targets) - 1)
        real = column < self.degrees[cells][:, None]
        return self.targets[place], torch.where(real, self.weights[place], 0.0)

    def posterior(self, cells: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of the posteriors of ``cells`` as last seen, each ``(*cells.shape, n_latent)``."""
        return self.mean[cells], self.variance[cells]

    @torch.no_grad()
    def remember(self, cells: Tensor, mean: Tensor, variance: Tensor, mask: Tensor | None = None) -> None:
        """Take these for the posteriors of the members among ``cells``, or of those that ``mask``, boolean, marks."""
        keep = (self.members[cells] if mask is None else mask)[:, None]
        self.seen.index_fill_(0, cells, True)
        for memory, value in ((self.mean, mean), (self.variance, variance)):
            memory.index_copy_(0, cells, torch.where(keep, value.to(memory), memory[cells]))

    @torch.no_grad()
    def share(self, add: Callable[[Tensor], Tensor]) -> None:
        """Take of each cell what any process saw since the last time; ``add`` sums a tensor over the processes."""
        own, n_seen = self.seen[:, None], add(self.seen.to(self.mean))[:, None]
        for memory in (self.mean, self.variance):
            together = add(torch.where(own, memory, 0.0)) / n_seen.clamp_min(1)
            memory.copy_(torch.where(n_seen > 0, together, memory))
        self.seen.zero_()

    def roughness(self) -> tuple[Tensor, Tensor]:
        r"""What the density of the members' posteriors depends on, a mean over members, each ``(n_latent,)``.

        :math:`\frac{1}{N} \sum_i \mathbb{E} z_i^2` and :math:`\frac{1}{N} \sum_{i \sim j} w_{ij}\, \mathbb{E} (z_i - z_j)^2`,
        each edge once.
        """
        source, target = self._ends()
        gap = (self.mean[source] - self.mean[target]).square() + self.variance[source] + self.variance[target]
        n_members = self._inside.shape[0]
        return (self.mean.square() + self.variance).sum(dim=0) / n_members, (self.weights @ gap) / (2 * n_members)

    def morans_i(self) -> Tensor:
        """Moran's I of the members' posterior means, ``(n_latent,)``."""
        source, target = self._ends()
        centre = self.mean.sum(dim=0) / self.members.sum()
        centred = torch.where(self.members[:, None], self.mean - centre, 0.0)
        products = self.weights @ (centred[source] * centred[target]) / self.weights.sum().clamp_min(1e-12)
        return products / (centred.square().sum(dim=0) / self.members.sum()).clamp_min(1e-12)

    def _ends(self) -> tuple[Tensor, Tensor]:
        """Both cells of each edge, in either direction, each ``(n_edges,)``."""
        cells = torch.arange(len(self.degrees), device=self.degrees.device)
        return cells.repeat_interleave(self.degrees), self.targets


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
