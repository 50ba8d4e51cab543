"""Soft clusters of the mixture priors, written to the data."""

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData

from mmvae._keys import component_key, responsibilities_key
from mmvae.model import MultiVAE


def responsibilities(model: MultiVAE, mdata: MuData | AnnData) -> None:
    """Write which component of each latent's mixture prior every cell belongs to.

    Latents whose prior is no mixture are left out. Everything is computed before anything is written.

    Parameters
    ----------
    model
        A trained model.
    mdata
        The model's own data, or data of the same features.

    Returns
    -------
    Nothing. Written are, for each latent with a mixture prior:

    - ``obsm["mmvae_components_<latent>"]``: probability of each component, a DataFrame ``(n_cells, n_components)``, see
      :meth:`~mmvae.MultiVAE.get_responsibilities`; NaN where a cell lacks the latent's modality;
    - ``obs["mmvae_component_<latent>"]``: the most probable one, a category; missing in the same cells.

    Raises
    ------
    RuntimeError
        If the model is not trained.
    ValueError
        If no prior is a mixture, or ``mdata`` does not fit the model.

    Examples
    --------
    >>> mmvae.tl.responsibilities(model, mdata)
    >>> sc.pl.umap(mdata, color="mmvae_component_rna")
    """
    model._check_if_trained(warn=False)
    latents = model.mixture_latents
    if not latents:
        priors = {name: prior.name for name, prior in model.module.priors.items()}
        msg = f"Expected a mixture prior that is the same for all cells; got {priors}. Train with prior='mog'."
        raise ValueError(msg)
    found = {latent: model.get_responsibilities(mdata, latent=latent) for latent in latents}
    for latent, shares in found.items():
        mdata.obsm[responsibilities_key(latent)] = shares
        winners = np.where(shares.notna().all(axis=1), shares.to_numpy().argmax(axis=1), -1)
        mdata.obs[component_key(latent)] = pd.Categorical.from_codes(winners, shares.columns.astype(object))
