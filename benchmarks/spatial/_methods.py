"""Ways to embed spots, each trained on some sections and shown others. N spots, G genes, D dimensions."""

from __future__ import annotations

import warnings
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import scanpy as sc
import scipy.sparse as sp
from sklearn.decomposition import PCA

from benchmarks.training import train

from ._tissues import SECTION

if TYPE_CHECKING:
    from collections.abc import Callable

    from anndata import AnnData

N_COMPONENTS = 20
DEPTH_TOTAL = 1e4


def pca(trained: AnnData, shown: AnnData, seed: int, *, smooth: bool) -> np.ndarray:
    """Principal components of log-normalised counts, ``(n_spots, 20)``; ``smooth`` adds each spot's neighbours' counts."""
    first, second = (_logged(adata, smooth=smooth) for adata in (trained, shown))
    return PCA(N_COMPONENTS, svd_solver="full").fit(first).transform(second)


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
    trained: AnnData, shown: AnnData, seed: int, *, spatial: bool = True, batch: str | None = SECTION, **settings: Any
) -> np.ndarray:
    """The fused latent of mmvae with its defaults; a new section is read as if from the first batch, which encoders ignore."""
    import mmvae as package

    first, second = (package.pp.spatial(adata, slide_key=SECTION) for adata in (trained, shown))
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


def _logged(adata: AnnData, *, smooth: bool) -> np.ndarray:
    adata = adata.copy()
    if smooth:
        import mmvae as package

        found = package.pp.spatial(adata, slide_key=SECTION)["spatial"]
        graph = sp.csr_matrix(found.obsp["spatial_connectivities"])
        rows = adata.obs_names.get_indexer(found.obs_names)
        summed = sp.lil_matrix(adata.X, dtype=np.float32)
        summed[rows] = graph @ adata.X[rows] + adata.X[rows]
        adata.X = summed.tocsr()
    sc.pp.normalize_total(adata, target_sum=DEPTH_TOTAL)
    sc.pp.log1p(adata)
    return adata.X.toarray()


METHODS: dict[str, Callable[[AnnData, AnnData, int], np.ndarray]] = {
    "pca": partial(pca, smooth=False),
    "pca smoothed": partial(pca, smooth=True),
    "scvi": scvi,
    "mmvae rna alone": partial(mmvae, spatial=False, batch_adversary=0.0),
    "mmvae normal": partial(mmvae, prior={"spatial": "normal"}),
    "mmvae mog": partial(mmvae, prior={"spatial": "mog"}),
    "mmvae gmrf": mmvae,
    "mmvae gmrf with adversary": partial(mmvae, batch_adversary=10.0),
}
UNSEEDED = ("pca", "pca smoothed")
