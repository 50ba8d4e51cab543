"""Assays of the same genes and different cells as one modality. C cells, G genes."""

import warnings
from collections.abc import Mapping
from typing import Any

import anndata
import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from mudata import MuData

from mmvae._errors import SetupError
from mmvae._keys import SPATIAL
from mmvae.data import values_of

from ._join_input import JoinInput


def join_features(adatas: Mapping[str, AnnData] | MuData, *, key: str = "assay") -> AnnData:
    """Put the cells of several assays below each other, with the genes that all of them measured.

    Dissociated cells and the spots of a section share genes but no cell. Nothing connects them as two modalities; as one
    whose batch is the assay, labels of the cells can be predicted for the spots. Nothing of ``adatas`` is changed.

    Genes that an assay lacks are left out, since a zero would say that it looked for them. Choose genes that vary
    afterwards: those chosen in each assay alone have few in common.

    Parameters
    ----------
    adatas
        The assays by name, such as ``{"scrna": cells, "visium": spots}``, each with counts in X or in a layer named
        ``counts``; or a MuData whose modalities have no cell in common.
    key
        Column of ``obs`` that is to name the assay.

    Returns
    -------
    AnnData ``(n_cells, n_shared_genes)``, assay after assay, genes in the order of the first:

    - ``X``: counts; other values where no assay has counts. Sparse (CSR) if any assay's are;
    - ``obs``: all columns, missing where an assay has no such column, and ``key``, a category. Of a MuData also the columns
      that it alone holds;
    - ``var``: the columns that all assays have and agree on;
    - ``obsm``: all keys, NaN where an assay has no such key, as cells have no places (zeros in a sparse one);
    - ``uns["spatial"]``: images of all assays. Images of one name that differ are left out.

    Raises
    ------
    SetupError
        If the assays cannot be joined; the message lists all reasons.
    TypeError
        If ``adatas`` is neither a mapping of AnnData nor a MuData.

    Warns
    -----
    UserWarning
        If assays use the same names for cells. All names are then preceded by the assay's, as in ``"visium:AAACAAG-1"``.

    Notes
    -----
    A spot holds several cells: probabilities that :meth:`~mmvae.MultiVAE.predict` gives for it say which type its latent is
    most like, and are no proportions. Labels of the spots, such as regions, are of another kind: give the cells' labels in a
    column that the spots lack.

    Examples
    --------
    >>> joined = mmvae.pp.join_features({"scrna": cells, "visium": spots})
    >>> mmvae.MultiVAE.setup_anndata(joined, batch_key="assay", labels_key="cell_type")
    >>> model = mmvae.MultiVAE(joined)
    >>> model.train()
    >>> probabilities = model.predict(indices=(joined.obs["assay"] == "visium").to_numpy(), soft=True)
    >>> confidence = probabilities.max(axis=1)
    """
    taken = JoinInput.of(adatas, key)
    if faults := taken.faults():
        raise SetupError(faults)
    cells = [cell for adata in taken.adatas.values() for cell in adata.obs_names]
    names_clash = len(set(cells)) < len(cells)
    if names_clash:
        msg = "Assays use the same names for cells, so each name is preceded by that of its assay."
        warnings.warn(msg, UserWarning, stacklevel=2)
    parts = [_part(taken, name, f"{name}:" if names_clash else "") for name in taken.adatas]
    joined = anndata.concat(parts, join="outer", merge="same", uns_merge="unique")
    joined.obs[key] = pd.Categorical(joined.obs[key], categories=list(taken.adatas))
    return joined


def _part(taken: JoinInput, name: str, prefix: str) -> AnnData:
    """What is taken of an assay."""
    adata, (layer, _) = taken.adatas[name], taken.layers[name]
    values: Any = values_of(adata, layer)
    if hasattr(values, "to_memory"):
        values = values.to_memory()
    values = values.tocsr() if sp.issparse(values) else np.asarray(values)
    obs = taken.obs_of(name).assign(**{taken.key: name})
    genes = adata.var_names.get_indexer(taken.shared)
    part = AnnData(values[:, genes], obs=obs, var=adata.var.loc[taken.shared], obsm=dict(adata.obsm))
    part.obs_names = prefix + part.obs_names
    if images := {**taken.uns.get(SPATIAL, {}), **adata.uns.get(SPATIAL, {})}:
        part.uns[SPATIAL] = images
    return part
