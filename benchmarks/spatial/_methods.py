"""Ways to embed spots, each trained on some sections and shown others. N spots, G genes, D dimensions."""

from __future__ import annotations

import warnings
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks.training import train

from ._deep import by_section, graphst, spaceflow, stagate
from ._tissues import SECTION
from ._untrained import around, banksy, diffused, mean, pca, pca_of_sums, smoothed, twice

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from anndata import AnnData


def scvi(trained: AnnData, shown: AnnData, seed: int) -> np.ndarray:
    """The latent of scVI with the section as batch; of new sections as scArches' query without training."""
    import scvi as tools
    from scvi.model import SCVI

    tools.settings.seed = seed
    trained = trained.copy()
    SCVI.setup_anndata(trained, batch_key=SECTION)
    model = SCVI(trained)
    train(model, None)
    if shown.obs[SECTION].isin(trained.obs[SECTION].unique()).all():
        return model.get_latent_representation(shown.copy())
    query = SCVI.load_query_data(shown.copy(), model)
    query.is_trained_ = True
    return query.get_latent_representation()


def mmvae(
    trained: AnnData,
    shown: AnnData,
    seed: int,
    *,
    spatial: bool = True,
    batch: str | None = SECTION,
    n_neighbors: int | None = None,
    **settings: Any,
) -> np.ndarray:
    """The fused latent of mmvae with its defaults; a new section is read as if from the first batch, which encoders ignore."""
    import mmvae as package

    first, second = (
        package.pp.spatial(adata, slide_key=SECTION, n_neighbors=n_neighbors) for adata in (trained, shown)
    )
    if not spatial:
        first, second = first["rna"].copy(), second["rna"].copy()
    known = trained.obs[SECTION].astype(str).unique()
    second.obs[SECTION] = [str(name) if str(name) in known else known[0] for name in second.obs[SECTION]]
    if spatial:
        package.MultiVAE.setup_mudata(first, batch_key=batch)
    else:
        package.MultiVAE.setup_anndata(first, batch_key=batch)
    model = package.MultiVAE(first, seed=seed, **settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        train(model, None)
    return model.get_latent_representation(second)


def mmvae_smoothed(trained: AnnData, shown: AnnData, seed: int, **settings: Any) -> np.ndarray:
    """The same, averaged over each spot and its surroundings, as ``mmvae.tl.domains(smooth=1)`` does."""
    return around(shown, mmvae(trained, shown, seed, **settings))


METHODS: dict[str, Callable[[AnnData, AnnData, int], np.ndarray]] = {
    "pca": pca,
    "pca smoothed": pca_of_sums,
    "pca mean of 6": partial(smoothed, smooth=partial(mean, n_neighbors=6)),
    "pca mean of 30": partial(smoothed, smooth=partial(mean, n_neighbors=30)),
    "pca smoothed twice": partial(smoothed, smooth=twice),
    "pca diffused": partial(smoothed, smooth=diffused),
    "banksy 0.8": partial(banksy, share=0.8),
    "banksy 0.2": partial(banksy, share=0.2),
    "scvi": scvi,
    "graphst": partial(by_section, embed=graphst),
    "stagate": partial(by_section, embed=stagate),
    "spaceflow": partial(by_section, embed=spaceflow),
    "mmvae rna alone": partial(mmvae, spatial=False, batch_adversary=0.0),
    "mmvae normal": partial(mmvae, prior={"spatial": "normal"}),
    "mmvae mog": partial(mmvae, prior={"spatial": "mog"}),
    "mmvae gmrf": mmvae,
    "mmvae gmrf of 6": partial(mmvae, n_neighbors=6),
    "mmvae gmrf smoothed": mmvae_smoothed,
    "mmvae gmrf of 6 smoothed": partial(mmvae_smoothed, n_neighbors=6),
    "mmvae gmrf with adversary": partial(mmvae, batch_adversary=10.0),
}
UNSEEDED = tuple(name for name in METHODS if name.startswith(("pca", "banksy")))
# Trained on each section by itself, so that their sections have no place in common and no section can be held out.
BY_SECTION = ("graphst", "stagate", "spaceflow")
