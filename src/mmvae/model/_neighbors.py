"""Which cells are neighbours, for the priors that look at it."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
import pandas as pd
import torch

from mmvae._keys import CELLS, EXPERTS, LATENT, QZ
from mmvae.data import graph_of, presence_of, within
from mmvae.graph import CellGraph
from mmvae.priors import GaussianMarkovField

from ._prior_checks import check_graph
from ._typing import ModelBase

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData
    from torch import Tensor

    from mmvae.fusion import Priced

READ_BATCH = 1_024


class NeighborMixin(ModelBase):
    """Gives priors the graph of the data that are read."""

    def spatial_spectrum(self, adata: MuData | AnnData | None = None) -> pd.DataFrame:
        r"""Which dimensions of the latents are smooth in space, by what their prior ``gmrf`` learnt.

        Parameters
        ----------
        adata
            Data with a graph of neighbours; the model's own by default. Precision and smoothness do not depend on them.

        Returns
        -------
        DataFrame with a row for each dimension of each latent with that prior, the smoothest first. Columns: ``latent``;
        ``dimension``, its place in ``get_latent_representation(representation=latent)``, from 0; ``precision`` and
        ``smoothness``, the prior's :math:`\kappa` and :math:`\tau` (:class:`~mmvae.priors.GaussianMarkovField`);
        ``neighbor_correlation``, that of two neighbours under the prior, near 0 where space plays no part; and ``morans_i``,
        the same of the cells' posterior means :cite:p:`Moran1950`.

        Raises
        ------
        RuntimeError
            If the model is not trained.
        ValueError
            If no latent has that prior, or the data have no graph.
        """
        self._check_if_trained(warn=False)
        adata = self._validate_anndata(adata)
        priors = {name: p for name, p in self.module.priors.items() if isinstance(p, GaussianMarkovField)}
        if not priors:
            msg = f"Expected a latent with prior 'gmrf'; got { {n: p.name for n, p in self.module.priors.items()} }."
            raise ValueError(msg)
        check_graph(list(priors.values()), adata)
        self._fill_graphs(adata)
        tables = [_spectrum(name, prior) for name, prior in priors.items()]
        return pd.concat(tables).sort_values("neighbor_correlation", ascending=False, ignore_index=True)

    def _link(self, adata: MuData | AnnData) -> None:
        """Let the priors know which cells of ``adata`` are neighbours."""
        priors = self._graph_priors()
        if not priors or self._linked is adata:
            return
        graph = graph_of(adata)
        names = self.modalities
        presence = presence_of(adata, names)
        for name, prior in priors.items():
            members = np.asarray(presence[:, names.index(name)] if name in names else presence.any(axis=1))
            prior.set_graph(None if graph is None else CellGraph(within(graph, members), members))
        self._linked = adata

    def _graph_priors(self) -> dict[str, GaussianMarkovField]:
        return {n: cast("GaussianMarkovField", prior) for n, prior in self.module.priors.items() if prior.needs_graph}

    def _fill_graphs(self, adata: MuData | AnnData) -> None:
        """Let the graph of each initialised prior know all cells' posteriors, which its KL asks for."""
        self._link(adata)
        for name, prior in self._graph_priors().items():
            if prior.is_initialised and prior.graph is not None and not prior.graph.is_filled:
                prior.graph.fill(*self._all_posteriors(adata, name))

    def _clear_graphs(self) -> None:
        """Forget the cells' posteriors, which have changed with the weights."""
        for prior in self._graph_priors().values():
            if prior.graph is not None:
                prior.graph.clear()

    @torch.no_grad()
    def _all_posteriors(self, adata: MuData | AnnData, name: str) -> tuple[Tensor, Tensor]:
        """Mean and variance of a latent in all cells, each ``(n_cells, n_latent)``; 0 where absent."""
        mean, variance = torch.zeros(2, adata.n_obs, self.module.priors[name].n_latent)
        training = self.module.training
        self.module.eval()
        for tensors in self._loader(adata, None, READ_BATCH):
            for latent in self._latents(tensors):
                if latent.name == name:
                    cells = tensors[CELLS][latent.rows.cpu()].long()
                    mean[cells] = latent.posterior.mean.cpu()
                    variance[cells] = latent.posterior.variance.cpu()
        self.module.train(training)
        return mean, variance

    def _latents(self, tensors: dict[str, Tensor]) -> list[Priced]:
        """Latents of the cells of a minibatch."""
        module = self.module
        outputs = module.inference(**module._get_inference_input(tensors))
        return module.fusion.priced(outputs[EXPERTS], outputs[QZ], outputs[LATENT])


@torch.no_grad()
def _spectrum(name: str, prior: GaussianMarkovField) -> pd.DataFrame:
    assert prior.graph is not None
    columns = {
        "precision": prior.precision,
        "smoothness": prior.smoothness,
        "neighbor_correlation": prior.neighbor_correlation(),
        "morans_i": prior.graph.morans_i(),
    }
    return pd.DataFrame(
        {"latent": name, "dimension": range(prior.n_latent)} | {key: value.cpu() for key, value in columns.items()}
    )
