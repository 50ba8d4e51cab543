"""Which cells are neighbours, for the priors that look at it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from mmvae._keys import CELLS, EXPERTS, LATENT, QZ
from mmvae.data import graph_of, presence_of, within
from mmvae.priors import CellGraph

from ._typing import ModelBase

if TYPE_CHECKING:
    from collections.abc import Callable

    from anndata import AnnData
    from mudata import MuData
    from torch import Tensor

    from mmvae.fusion import Priced

READ_BATCH = 1_024


class NeighborMixin(ModelBase):
    """Gives priors the graph of the data that are read."""

    def _link(self, adata: MuData | AnnData) -> None:
        """Let the priors see which cells of ``adata`` are neighbours. What it costs is done when a KL asks for it."""
        priors = {name: prior for name, prior in self.module.priors.items() if prior.needs_graph}
        if not priors or self._linked is adata:
            return
        graph = graph_of(adata)
        names = self.modalities
        presence = presence_of(adata, names)
        for name, prior in priors.items():
            if graph is None:
                prior.link(None)
                continue
            members = np.asarray(presence[:, names.index(name)] if name in names else presence.any(axis=1))
            prior.link(CellGraph(within(graph, members), members, self._reader(adata, name)))
        self._linked = adata

    def _reader(self, adata: MuData | AnnData, name: str) -> Callable[[], tuple[Tensor, Tensor]]:
        """Function that gives mean and variance of a latent in all cells, each ``(n_cells, n_latent)``; 0 where absent."""

        @torch.no_grad()
        def read() -> tuple[Tensor, Tensor]:
            width = self.module.priors[name].n_latent
            mean, variance = torch.zeros(2, adata.n_obs, width)
            training = self.module.training
            self.module.eval()
            for tensors in self._make_data_loader(adata=adata, batch_size=READ_BATCH):
                for latent in self._latents(tensors):
                    if latent.name == name:
                        cells = tensors[CELLS][latent.rows.cpu()].long()
                        mean[cells] = latent.posterior.mean.cpu()
                        variance[cells] = latent.posterior.variance.cpu()
            self.module.train(training)
            return mean, variance

        return read

    def _latents(self, tensors: dict[str, Tensor]) -> list[Priced]:
        """Latents of the cells of a minibatch."""
        module = self.module
        outputs = module.inference(**module._get_inference_input(tensors))
        return module.fusion.priced(outputs[EXPERTS], outputs[QZ], outputs[LATENT])
