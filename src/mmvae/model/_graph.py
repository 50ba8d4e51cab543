"""Graphs of neighbouring cells, for the priors that look at them: attached at once, their memories filled on demand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from mmvae.data import graph_of, presence_of, within
from mmvae.graph import CellGraph
from mmvae.train import seeded

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from anndata import AnnData
    from mudata import MuData
    from torch import Tensor

    from mmvae.module import MultiVAEModule

FILL_BATCH = 1_024


@dataclass(frozen=True)
class AttachedGraphs:
    """The data whose neighbours the priors see, and the graph of each latent; none where the data have no graph."""

    data: MuData | AnnData
    by_latent: Mapping[str, CellGraph]


class HasGraphs(Protocol):
    """A model, as far as graphs are concerned. ``_graphs`` is ``None`` before any are attached."""

    module: MultiVAEModule
    _graphs: AttachedGraphs | None

    def _loader(
        self, adata: MuData | AnnData, indices: Any = None, batch_size: int | None = None, **kwargs: Any
    ) -> Iterator[dict[str, Tensor]]: ...


def attach_graph(model: HasGraphs, data: MuData | AnnData) -> None:
    """Let the priors that look at neighbours see those of ``data``; their memories are empty until :func:`fill_graphs`."""
    priors = {name: prior for name, prior in model.module.priors.items() if prior.needs_graph}
    if not priors or (model._graphs is not None and model._graphs.data is data):
        return
    by_latent, graph = {}, graph_of(data)
    if graph is not None:
        members = {name: _members(model.module, name, data) for name in priors}
        by_latent = {name: CellGraph(within(graph, has), has) for name, has in members.items()}
    for name, prior in priors.items():
        prior.set_graph(by_latent.get(name))
    model._graphs = AttachedGraphs(data, by_latent)


@torch.no_grad()
def fill_graphs(model: HasGraphs, data: MuData | AnnData) -> None:
    """:func:`attach_graph`, and let the graphs remember the posteriors of all cells, which KLs need, unless they do."""
    attach_graph(model, data)
    waiting = {} if model._graphs is None else {n: g for n, g in model._graphs.by_latent.items() if not g.is_filled}
    if not waiting:
        return
    module, training = model.module, model.module.training
    module.eval()
    found: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in waiting}
    with seeded(0):
        for tensors in model._loader(data, None, FILL_BATCH):
            minibatch = module.minibatch({key: value.to(module.device) for key, value in tensors.items()})
            for term in module.fusion.draw(module.encode(minibatch)).prior_terms:
                if term.name in found:
                    found[term.name].append((term.posterior.mean, term.posterior.variance))
    module.train(training)
    for name, graph in waiting.items():
        mean, variance = (torch.cat(parts) for parts in zip(*found[name], strict=True))
        graph.fill(mean, variance)


def _members(module: MultiVAEModule, latent: str, data: MuData | AnnData) -> np.ndarray:
    """Which cells have any of a latent's modalities, boolean, ``(n_cells,)``."""
    inside = [name for name in module.names if module.fusion.latent_of(name)[0] == latent]
    return np.asarray(presence_of(data, inside).any(axis=1))
