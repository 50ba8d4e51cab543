"""What a model remembers of its training cells, and how its methods read data, with graphs of neighbouring cells."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, TypeAlias

import numpy as np
import torch
from anndata import AnnData
from mudata import MuData
from torch import Tensor

from mmvae._checks import COUNT, check_is, check_numbers
from mmvae.analysis import modality_weights
from mmvae.data import Minification, graph_of, numbers_of, presence_of, shared_cells, within
from mmvae.graph import CellGraph
from mmvae.module import MultiVAEModule
from mmvae.train import seeded

from ._lifetimes import Lifetimes
from ._one_thread import check_no_other_trains

Data: TypeAlias = MuData | AnnData
Indices: TypeAlias = Sequence[int] | np.ndarray

FILL_BATCH = 1_024


@dataclass(frozen=True)
class ReferenceMemory:
    """What a model remembers of the cells that it was trained with; saved with it as a plain dictionary."""

    cells: str | None = None  # digest of the cells' names
    values: dict[str, list[float]] | None = (
        None  # by modality, sums over features of some cells, which tell them from others
    )
    labelled: dict[str, Any] | None = None  # codes and posteriors of the labelled cells
    reliability: dict[str, float] | None = None  # of each modality's latent, by split halves
    certainty: dict[str, float] | None = None  # share of its variance that is of the posterior means
    agreement: dict[str, float] | None = None  # share of its variance that another modality tells
    scale: dict[str, float] | None = None  # root of the total variance of each modality's draws
    shared: dict[str, Any] | None = None  # the subspace that the modalities share, fitted on first use
    imputation: dict[str, Any] | None = None  # by modality, how its intervals are calibrated, measured on first use
    imputation_quality: dict[str, Any] | None = None  # by modality, how it does beside plain methods, as well
    n_categories: dict[str, int] | None = None  # of each table of weights when the training ended
    known_categories: dict[str, int] | None = None  # in a query, those of its reference, which stay as they are
    dropout_is_frozen: bool = False  # whether a query is trained without

    @property
    def weights(self) -> dict[str, float] | None:
        """How much each modality's latent counts in the fused representation; the largest is 1."""
        if self.reliability is None or self.certainty is None or self.agreement is None:
            return None
        return modality_weights(self.reliability, self.certainty, self.agreement)

    @property
    def is_query(self) -> bool:
        """Whether the model is a reference onto which other data were mapped, whose encoders stay as they are."""
        return self.known_categories is not None


def digest_of(data: Data) -> str:
    """Digest of the names of cells and their order."""
    return sha256("\n".join(data.obs_names).encode()).hexdigest()


def digest_of_encoders(module: MultiVAEModule) -> str:
    """Digest of the weights that posteriors come from."""
    found = sha256()
    for name in module.names:
        for weights in module.encoders[name].state_dict().values():
            found.update(weights.cpu().numpy().tobytes())
    return found.hexdigest()


def has_latent(module: MultiVAEModule, latent: str, data: Data) -> np.ndarray:
    """Which cells have any of a latent's modalities, boolean, ``(n_cells,)``."""
    inside = [name for name in module.names if module.fusion.latent_of(name)[0] == latent]
    return np.asarray(presence_of(data, inside).any(axis=1))


class DataAccess(Lifetimes):
    """scvi-tools' access to data, for mosaics, and the model's memory, which it saves as the name ends so."""

    memory_: dict[str, Any]

    @property
    def memory(self) -> ReferenceMemory:
        """What the model remembers of its training cells."""
        return ReferenceMemory(**self.memory_)

    @property
    def minified_data_type(self) -> str | None:
        """What the model's data hold in place of values or beside them, see :meth:`minify_mudata`; else ``None``."""
        how = None if self.adata is None else Minification.of(self.adata)
        return None if how is None else how.way

    def remember(self, **values: Any) -> None:
        """Replace what is remembered under these names, those of :class:`ReferenceMemory`."""
        self.memory_ = dict(vars(replace(self.memory, **values)))

    def _count_pairs(self) -> None:
        """Tell the fusion how many of the model's cells each pair of modalities shares."""
        shared = shared_cells(presence_of(self.adata, self.adata_manager.names))
        self.module.fusion.set_pair_counts(torch.as_tensor(shared))

    def _validate_anndata(self, adata: Data | None = None, copy_if_view: bool = True) -> Data:
        """``adata``, by default the model's own, registered like these; refuses data that were changed since."""
        is_bare = self.adata is None
        if adata is None and is_bare:
            msg = (
                "Expected data; got none, and the model was loaded without. Give adata to MultiVAE.load, or to the "
                "method where it takes adata."
            )
            raise ValueError(msg)
        given = self.adata if adata is None else adata
        check_is("adata", given, MuData, AnnData)
        if not given.is_view and (manager := self.get_anndata_manager(given)) is not None:
            manager.check_unchanged()
        data = super()._validate_anndata(adata, copy_if_view)
        if is_bare:
            # scvi-tools makes the first data that such a model is given its own; but it was trained with others.
            self._adata = None
        return data

    def _make_data_loader(self, adata: Data, *args: Any, **kwargs: Any) -> Iterator[dict[str, Tensor]]:
        """:meth:`_loader` for scvi-tools' own methods, which compute KLs."""
        check_no_other_trains(self)
        self._fill_graphs(adata)
        self.module.eval()
        return self._loader(adata, *args, **kwargs)

    def _loader(
        self, adata: Data, indices: Indices | None = None, batch_size: int | None = None, **kwargs: Any
    ) -> Iterator[dict[str, Tensor]]:
        """Minibatches of the cells that ``indices`` names, by default of all; one without cells if it names none."""
        check_numbers({"batch_size": COUNT}, batch_size=batch_size)
        cells = numbers_of(adata, indices)
        how = Minification.of(adata)
        if how is not None and how.encoders != digest_of_encoders(self.module):
            msg = (
                "Expected data that this model has minified as it is; got some that another did, or this one before it "
                "was trained further. Minify the data anew from those with their values."
            )
            raise ValueError(msg)
        self._attach_graph(adata)
        # Of their own, as torch's loaders draw a number from the process's generator, of which other threads may make use.
        kwargs = {"generator": torch.Generator()} | kwargs
        loader: Any = super()._make_data_loader(adata, cells, batch_size, **kwargs)
        return loader if len(cells) else iter([loader.collate_fn(loader.dataset[[]])])

    def _attach_graph(self, data: Data) -> None:
        """Let priors that look at neighbours see those of ``data``, without posteriors until :meth:`_fill_graphs`."""
        priors = {name: prior for name, prior in self.module.priors.items() if prior.needs_graph}
        graph = graph_of(data) if priors else None
        parts = () if graph is None else (graph.indptr, graph.indices, graph.data)
        # Cells may have been left out, or another graph may have been given, since they were read last.
        own = sha256(b"".join(part.tobytes() for part in parts)).hexdigest()
        source = f"{self.get_anndata_manager(data, required=True).adata_uuid} {own}"
        if all(prior.graph is not None and prior.graph.source == source for prior in priors.values()):
            return
        for name, prior in priors.items():
            has = has_latent(self.module, name, data)
            prior.set_graph(None if graph is None else CellGraph(within(graph, has), has, source))

    def _clear_graphs(self) -> None:
        """Let the attached graphs forget the posteriors of their cells, as where the weights have changed."""
        for prior in self.module.priors.values():
            if prior.graph is not None:
                prior.graph.clear()

    def _fill_graphs(self, data: Data, latents: Collection[str] | None = None) -> None:
        """Let graphs of ``data`` know the cells' posteriors, by default of the latents with an initialised prior."""
        self._attach_graph(data)
        if latents is None:
            latents = [name for name, prior in self.module.priors.items() if prior.is_initialised]
        graphs = {name: self.module.priors[name].graph for name in latents}
        waiting = {name: graph for name, graph in graphs.items() if graph is not None and not graph.is_filled}
        if waiting:
            self._fill(data, waiting)

    @torch.no_grad()
    def _fill(self, data: Data, graphs: Mapping[str, CellGraph]) -> None:
        module, training = self.module, self.module.training
        module.eval()
        found: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in graphs}
        with seeded(0):
            for tensors in self._loader(data, None, FILL_BATCH):
                minibatch = module.minibatch({key: value.to(module.device) for key, value in tensors.items()})
                for term in module.fusion.draw(module.encode(minibatch)).prior_terms:
                    if term.name in found:
                        found[term.name].append((term.posterior.mean, term.posterior.variance))
        module.train(training)
        for name, graph in graphs.items():
            mean, variance = (torch.cat(parts) for parts in zip(*found[name], strict=True))
            graph.fill(mean, variance)
