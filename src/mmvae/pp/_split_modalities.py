"""One matrix of several types of features as a MuData. C cells."""

import re

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData

from mmvae._compat import unpulled
from mmvae._errors import SetupError
from mmvae.data import FEATURE_TYPES, KINDS, feature_types, modality_name_faults


def split_modalities(adata: AnnData) -> MuData:
    """Make a modality of each type of features, such as genes and peaks of one 10x Genomics file.

    Parameters
    ----------
    adata
        Features of several types, which ``var["feature_types"]`` tells apart, as :func:`scanpy.read_10x_h5` reads them with
        ``gex_only=False``. It is left as it is.

    Returns
    -------
    MuData of the same cells, with ``obs``, ``obsm``, ``obsp`` and ``uns``. Its modalities hold X, layers, ``var`` and
    ``varm`` of their features; ``raw`` is left out. They are called ``"rna"`` (of ``"Gene Expression"``), ``"atac"``
    (``"Peaks"``) and ``"protein"`` (``"Antibody Capture"``); others after their type, in small letters and with ``_`` for
    what is no letter and no digit, such as ``"multiplexing_capture"``.

    Raises
    ------
    SetupError
        If there is no such column, if it has no type for some features, or if two types would share a name.
    TypeError
        If ``adata`` is not an AnnData.

    Examples
    --------
    >>> adata = sc.read_10x_h5("filtered_feature_bc_matrix.h5", gex_only=False)
    >>> mdata = mmvae.pp.split_modalities(adata)  # a gene and a protein may have one name
    >>> mdata["rna"].var_names_make_unique()
    >>> del mdata.mod["multiplexing_capture"]  # hashtags tell samples apart, not cells
    """
    if not isinstance(adata, AnnData):
        msg = f"Expected an AnnData; got {type(adata).__name__}. Of a MuData give one modality, such as mdata['rna']."
        raise TypeError(msg)
    if faults := _faults(adata):
        raise SetupError(faults)
    types = adata.var[FEATURE_TYPES].astype(str)
    modalities = {_name_of(each): _part(adata, (types == each).to_numpy()) for each in types.unique()}
    with unpulled():
        mdata = MuData(modalities)
    mdata.obs = adata.obs.copy()
    mdata.obsm.update(adata.obsm)
    mdata.obsp.update(adata.obsp)
    mdata.uns.update(adata.uns)
    return mdata


def _faults(adata: AnnData) -> list[str]:
    if FEATURE_TYPES not in adata.var:
        return [
            f"no column '{FEATURE_TYPES}' in adata.var, which has {list(adata.var)}. Add it: the type of each feature."
        ]
    faults = []
    if n := int(adata.var[FEATURE_TYPES].isna().sum()):
        faults.append(f"var['{FEATURE_TYPES}'] has no value for {n} of {adata.n_vars} features. Fill it in.")
    if not adata.obs_names.is_unique:
        faults.append("adata.obs_names are not unique. Use adata.obs_names_make_unique().")
    names = pd.Series({each: _name_of(each) for each in feature_types(adata).index})
    # A MuData keeps there which cells have the modality.
    faults += [f"obsm['{key}'] has the name of a modality. Rename it." for key in adata.obsm if key in set(names)]
    return faults + [
        f"the types {list(alike.index)} would all be called '{name}'. Rename them, or make them one."
        for name, alike in names.groupby(names)
        if len(alike) > 1
    ]


def _name_of(feature_type: str) -> str:
    """Name of a type's modality, one that a modality may have."""
    name = KINDS.get(feature_type) or re.sub(r"[^a-z0-9]+", "_", feature_type.lower()).strip("_")
    return f"{name}_features".lstrip("_") if modality_name_faults(name) else name


def _part(adata: AnnData, features: np.ndarray) -> AnnData:
    """What belongs to some of the features, without annotations of cells."""
    part = adata[:, features]
    return AnnData(
        part.X if part.X is None else part.X.copy(),
        obs=pd.DataFrame(index=adata.obs_names),
        var=part.var.copy(),
        varm={key: values.copy() for key, values in part.varm.items()},
        layers={key: values.copy() for key, values in part.layers.items() if key is not None},
    )
