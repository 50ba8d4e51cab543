"""What a model says of the cells, written to the data."""

from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData

from mmvae._checks import check_is
from mmvae._keys import FUSED, PROVENANCE, SHARED, embedding_key
from mmvae.model import MultiVAE

ORDER = "The model comes first, then the data."
MEANINGS = {
    FUSED: "latents of all modalities, each at variance 1 times its weight; where there is one joint latent, that",
    SHARED: "what the modalities agree on: generalised canonical correlation of their latents",
}


def embed(model: MultiVAE, mdata: MuData | AnnData) -> None:
    """Write all embeddings of ``model`` to ``mdata.obsm``, and where they come from to ``mdata.uns["mmvae"]``.

    Parameters
    ----------
    model
        A trained model.
    mdata
        The model's own data, or data of the same features. Everything is computed before anything is written.

    Returns
    -------
    Nothing. Written are, each of shape ``(n_cells, n_dimensions)``:

    - ``obsm["X_mmvae"]``: the fused latent, see :meth:`~mmvae.MultiVAE.get_latent_representation`;
    - ``obsm["X_mmvae_<modality>"]``: the latent of each modality, predicted in cells that lack it;
    - ``obsm["X_mmvae_shared"]``: what the modalities agree on. It is left out where that cannot be estimated, for
      the reason given in ``uns["mmvae"]["left_out"]``;
    - ``uns["mmvae"]``: versions, a summary of the model, and what each of these is.

    Raises
    ------
    RuntimeError
        If the model is not trained.
    ValueError
        If ``mdata`` does not fit the model.

    Examples
    --------
    >>> mmvae.tl.embed(model, mdata)
    >>> sc.pp.neighbors(mdata, use_rep="X_mmvae")
    """
    check_is("model", model, MultiVAE, advice=ORDER)
    check_is("mdata", mdata, MuData, AnnData)
    readouts, left_out = [FUSED, *model.modalities], {}
    try:
        model.get_shared_spectrum()
        readouts.append(SHARED)
    except ValueError as error:
        left_out[embedding_key(SHARED)] = str(error)
    found = {embedding_key(name): model.get_latent_representation(mdata, modality=name) for name in readouts}
    of_one = "latent of modality '{}', predicted from the others in cells that lack it"
    meanings = {name: of_one.format(name) for name in model.modalities} | MEANINGS
    provenance: dict[str, Any] = {
        "versions": {package: version(package) for package in ("mmvae", "scvi-tools", "torch")},
        "model": _summary(model),
        "embeddings": {embedding_key(name): meanings[name] for name in readouts},
    }
    if left_out:
        provenance["left_out"] = left_out
        # that of a model before
        mdata.obsm.pop(embedding_key(SHARED), None)
    for key, values in found.items():
        mdata.obsm[key] = values
    mdata.uns[PROVENANCE] = provenance


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
    check_is("model", model, MultiVAE, advice=ORDER)
    check_is("mdata", mdata, MuData, AnnData)
    model._check_if_trained(warn=False)
    latents = model.mixture_latents
    if not latents:
        priors = {name: prior.name for name, prior in model.module.priors.items()}
        msg = f"Expected a mixture prior that is the same for all cells; got {priors}. Train with prior='mog'."
        raise ValueError(msg)
    found = {latent: model.get_responsibilities(mdata, modality=latent) for latent in latents}
    for latent, shares in found.items():
        mdata.obsm[f"mmvae_components_{latent}"] = shares
        winners = np.where(shares.notna().all(axis=1), shares.to_numpy().argmax(axis=1), -1)
        mdata.obs[f"mmvae_component_{latent}"] = pd.Categorical.from_codes(winners, shares.columns.astype(object))


def _summary(model: MultiVAE) -> dict[str, Any]:
    """The model in types that HDF5 can hold."""
    module, n_epochs = model.module, len((model.history_ or {}).get("elbo_train", ()))
    numbers = {"seed": model.seed, "best_epoch": model.best_epoch_, "n_epochs": n_epochs}
    return {
        "fusion": module.fusion.name,
        "n_latent": dict(module.fusion.n_latent),
        "n_fused": module.fusion.n_output,
        "likelihoods": {name: likelihood.name for name, likelihood in module.likelihoods.items()},
        "priors": {name: prior.name for name, prior in module.priors.items()},
    } | {name: int(value) for name, value in numbers.items() if value is not None}
