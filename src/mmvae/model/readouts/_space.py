"""How smooth the latents are in space. D latent dimensions."""

import pandas as pd
import torch

from mmvae.model._configuration import check_graph
from mmvae.model._data import Data, DataAccess
from mmvae.model._reader import Reader
from mmvae.priors import GaussianMarkovField


class SpaceMethods(DataAccess):
    """What priors of neighbouring cells have learnt."""

    def spatial_spectrum(self, adata: Data | None = None) -> pd.DataFrame:
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
        """
        data, every = Reader(self).data(adata), self.module.priors
        priors = {name: prior for name, prior in every.items() if isinstance(prior, GaussianMarkovField)}
        if not priors:
            msg = f"Expected a latent with prior 'gmrf'; got { {name: prior.name for name, prior in every.items()} }."
            raise ValueError(msg)
        check_graph(priors.values(), data)
        self._fill_graphs(data, priors)
        tables = [_spectrum(name, prior) for name, prior in priors.items()]
        return pd.concat(tables).sort_values("neighbor_correlation", ascending=False, ignore_index=True)


@torch.no_grad()
def _spectrum(name: str, prior: GaussianMarkovField) -> pd.DataFrame:
    assert prior.graph is not None
    learned = {"precision": prior.precision, "smoothness": prior.smoothness}
    learned |= {"neighbor_correlation": prior.neighbor_correlation(), "morans_i": prior.graph.morans_i()}
    columns = {key: value.cpu() for key, value in learned.items()}
    return pd.DataFrame({"latent": name, "dimension": range(prior.n_latent)} | columns)
