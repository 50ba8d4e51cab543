"""Whether the priors suit the fusion and the data."""

import warnings

from anndata import AnnData
from mudata import MuData

from mmvae._keys import CONNECTIVITIES
from mmvae.data import SetupArguments, graph_of, prior_covariate_notes, resolve_columns
from mmvae.module import MultiVAEModule
from mmvae.priors import Prior


def check_priors(module: MultiVAEModule) -> None:
    """Refuse priors that the fusion's latents do not suit.

    Raises
    ------
    ValueError
        If a prior needs a latent for each modality and the fusion has one for all, or if it compares the modalities'
        latents and these differ in width.
    """
    for name, prior in module.priors.items():
        if (prior.needs_encoder or prior.needs_posteriors) and name not in module.encoders:
            what = "one modality's encoder" if prior.needs_encoder else "a latent for each modality"
            msg = (
                f"Expected a prior that suits the one latent of fusion '{module.fusion.name}'; got '{prior.name}', which "
                f"needs {what}. Use prior 'mog' or 'normal', or fusion 'concat'."
            )
            raise ValueError(msg)
        if prior.needs_posteriors and len(set(module.fusion.n_latent.values())) > 1:
            msg = (
                f"Expected one n_latent for all modalities with prior '{prior.name}', which compares their latents; got "
                f"{module.fusion.n_latent}. Give one number."
            )
            raise ValueError(msg)


def check_graph(priors: list[Prior], data: AnnData | MuData) -> None:
    """Refuse priors that look at neighbours where the data do not say who they are.

    Raises
    ------
    ValueError
        If there is no graph of neighbouring cells.
    """
    asking = sorted({prior.name for prior in priors if prior.needs_graph})
    if asking and graph_of(data) is None:
        msg = (
            f"Expected data with a graph of neighbouring cells in obsp['{CONNECTIVITIES}'] for prior {asking[0]!r}; got "
            "none. Make them with mmvae.pp.spatial, or the graph with squidpy.gr.spatial_neighbors."
        )
        raise ValueError(msg)


def warn_of_batch(priors: list[Prior], data: AnnData | MuData, arguments: SetupArguments) -> None:
    """Warn where a prior looks at covariates that tell batches apart.

    Warns
    -----
    UserWarning
        For each such covariate.
    """
    if not any(prior.needs_covariates for prior in priors):
        return
    columns, _ = resolve_columns(data, arguments, is_query=True)
    for note in prior_covariate_notes(columns):
        warnings.warn(note, UserWarning, stacklevel=3)
