"""Graphs of neighbouring cells, for the priors that look at them: attached at once, their memories filled on demand."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from anndata import AnnData
from mudata import MuData
from torch import Tensor

from mmvae.data import graph_of, presence_of, within
from mmvae.graph import CellGraph
from mmvae.module import MultiVAEModule
from mmvae.train import seeded

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


def clear_graphs(model: HasGraphs) -> None:
    """Let the attached graphs forget the posteriors of their cells, as where the weights have changed."""
    for graph in () if model._graphs is None else model._graphs.by_latent.values():
        graph.clear()


def fill_graphs(model: HasGraphs, data: MuData | AnnData, latents: Collection[str] | None = None) -> None:
    """:func:`attach_graph`, and let the graphs remember the posteriors of all cells, which KLs need, unless they do.

    Parameters
    ----------
    model
        The model; its module is left in the mode in which it is.
    data
        The data.
    latents
        Latents whose graphs are filled; by default those with an initialised prior, as others have no use for it.
    """
    attach_graph(model, data)
    graphs = {} if model._graphs is None else model._graphs.by_latent
    if latents is None:
        latents = [name for name in graphs if model.module.priors[name].is_initialised]
    waiting = {name: graph for name, graph in graphs.items() if name in latents and not graph.is_filled}
    if waiting:
        _fill(model, data, waiting)


@torch.no_grad()
def _fill(model: HasGraphs, data: MuData | AnnData, graphs: Mapping[str, CellGraph]) -> None:
    module, training = model.module, model.module.training
    module.eval()
    found: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in graphs}
    with seeded(0):
        for tensors in model._loader(data, None, FILL_BATCH):
            minibatch = module.minibatch({key: value.to(module.device) for key, value in tensors.items()})
            for term in module.fusion.draw(module.encode(minibatch)).prior_terms:
                if term.name in found:
                    found[term.name].append((term.posterior.mean, term.posterior.variance))
    module.train(training)
    for name, graph in graphs.items():
        mean, variance = (torch.cat(parts) for parts in zip(*found[name], strict=True))
        graph.fill(mean, variance)


def _members(module: MultiVAEModule, latent: str, data: MuData | AnnData) -> np.ndarray:
    """Which cells have any of a latent's modalities, boolean, ``(n_cells,)``."""
    inside = [name for name in module.names if module.fusion.latent_of(name)[0] == latent]
    return np.asarray(presence_of(data, inside).any(axis=1))
