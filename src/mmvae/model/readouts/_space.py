"""How smooth the latents are in space. D latent dimensions."""

import pandas as pd
import torch

from mmvae.model._prior_checks import check_graph
from mmvae.model._reader import Data, Reader
from mmvae.priors import GaussianMarkovField


def spatial_spectrum(reader: Reader, adata: Data | None) -> pd.DataFrame:
    """A row for each dimension of each latent with prior ``gmrf``, the smoothest first."""
    data, every = reader.data(adata), reader.module.priors
    priors = {name: prior for name, prior in every.items() if isinstance(prior, GaussianMarkovField)}
    if not priors:
        msg = f"Expected a latent with prior 'gmrf'; got { {name: prior.name for name, prior in every.items()} }."
        raise ValueError(msg)
    check_graph(list(priors.values()), data)
    reader.fill_graphs(data, priors)
    tables = [_spectrum(name, prior) for name, prior in priors.items()]
    return pd.concat(tables).sort_values("neighbor_correlation", ascending=False, ignore_index=True)


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
