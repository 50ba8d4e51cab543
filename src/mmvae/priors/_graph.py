"""Neighbouring cells and where their latents were last seen: N cells, D latent dimensions, E edges."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import torch

from ._spectrum import Spectrum, spectrum_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import scipy.sparse as sp
    from torch import Tensor


class Edges(NamedTuple):
    """Edges that leave some cells: which of these, the cell at the other end, and the weight; each ``(n_edges,)``."""

    source: Tensor
    target: Tensor
    weight: Tensor


class CellGraph:
    """A graph of cells with a memory of their posteriors.

    Parameters
    ----------
    graph
        Symmetric weights, 0 on the diagonal, ``(n_cells, n_cells)``. Edges lead between ``members`` alone.
    members
        Which cells have the latent, boolean, ``(n_cells,)``.
    read
        Gives mean and variance of all cells' posteriors, each ``(n_cells, n_latent)``; called when they are first needed.
    """

    def __init__(self, graph: sp.csr_matrix, members: np.ndarray, read: Callable[[], tuple[Tensor, Tensor]]) -> None:
        self._inside = graph[members][:, members]
        self._members = torch.as_tensor(members)
        self._read = read
        self._starts, self._ends, self._targets = (
            torch.as_tensor(part.astype("int64")) for part in (graph.indptr[:-1], graph.indptr[1:], graph.indices)
        )
        self._weights = torch.as_tensor(graph.data, dtype=torch.float32)

    @cached_property
    def spectrum(self) -> Spectrum:
        """Eigenvalues of the Laplacian over the members."""
        return spectrum_of(self._inside)

    @cached_property
    def _memory(self) -> tuple[Tensor, Tensor]:
        mean, variance = self._read()
        return mean.clone(), variance.clone()

    def edges(self, cells: Tensor) -> Edges:
        """Edges that leave ``cells``, numbers, ``(n_cells,)``."""
        here = cells.cpu()
        first, count = self._starts[here], self._ends[here] - self._starts[here]
        source = torch.repeat_interleave(torch.arange(len(here)), count)
        within = torch.arange(len(source)) - (count.cumsum(0) - count)[source]
        place = first[source] + within
        found = Edges(source, self._targets[place], self._weights[place])
        return Edges(*(part.to(cells.device) for part in found))

    def posterior(self, cells: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of the posteriors of ``cells`` as last seen, each ``(n_cells, n_latent)``."""
        mean, variance = self._memory
        here = cells.cpu()
        return mean[here].to(cells.device), variance[here].to(cells.device)

    @torch.no_grad()
    def remember(self, cells: Tensor, mean: Tensor, variance: Tensor) -> None:
        """Take these for the posteriors of ``cells``."""
        here = cells.cpu()
        for memory, value in zip(self._memory, (mean, variance), strict=True):
            memory[here] = value.to(memory)

    def roughness(self) -> tuple[Tensor, Tensor]:
        r"""What the density of the members' posteriors depends on, a mean over members, each ``(n_latent,)``.

        :math:`\frac{1}{N} \sum_i \mathbb{E} z_i^2` and :math:`\frac{1}{N} \sum_{i \sim j} w_{ij}\, \mathbb{E} (z_i - z_j)^2`,
        each edge once.
        """
        mean, variance = self._memory
        source = torch.repeat_interleave(torch.arange(len(mean)), self._ends - self._starts)
        gap = (mean[source] - mean[self._targets]).square() + variance[source] + variance[self._targets]
        n_members = self._inside.shape[0]
        return (mean.square() + variance).sum(dim=0) / n_members, (self._weights @ gap) / (2 * n_members)

    def morans_i(self) -> Tensor:
        """Moran's I of the members' posterior means, ``(n_latent,)``."""
        mean, _ = self._memory
        centred = torch.where(self._members[:, None], mean - mean[self._members].mean(dim=0), 0.0)
        source = torch.repeat_interleave(torch.arange(len(mean)), self._ends - self._starts)
        products = self._weights @ (centred[source] * centred[self._targets]) / self._weights.sum().clamp_min(1e-12)
        return products / (centred.square().sum(dim=0) / self._members.sum()).clamp_min(1e-12)
