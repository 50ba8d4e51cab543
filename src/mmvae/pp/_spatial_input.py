"""What `pp.spatial` is given, and what is wrong with it."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from mmvae._checks import COUNT, POSITIVE
from mmvae._keys import RNA, SPATIAL
from mmvae.data import is_supported, values_of

SLIDE_NAMES = ("slide", "section", "slide_id", "section_id", "library_id", "orig.ident", "fov", "sample")
# Where SpatialData's tables say which column names the region of a row.
ATTRIBUTES, REGION_KEY = "spatialdata_attrs", "region_key"


def slide_columns(obs: pd.DataFrame) -> list[Hashable]:
    """Columns that may name slides, and have several values."""
    return [key for key in obs if str(key).lower() in SLIDE_NAMES and obs[key].nunique() > 1]


def places_of(adata: AnnData, spatial_key: str) -> np.ndarray:
    """Places, ``(n_spots, n_dimensions)``."""
    return np.asarray(adata.obsm[spatial_key], dtype=np.float64)


def slides_of(adata: AnnData, slide_key: str | None) -> np.ndarray:
    """Number of each spot's slide, -1 where it has none, ``(n_spots,)``."""
    return np.zeros(adata.n_obs, dtype=int) if slide_key is None else pd.factorize(adata.obs[slide_key])[0]


def place_faults(adata: AnnData, slide_key: str | None, spatial_key: str) -> list[str]:
    """What is wrong with the slides and the places of spots, a sentence each."""
    faults = _slide_faults(adata, slide_key) + _coordinate_faults(adata, spatial_key)
    if faults:
        return faults
    # Spots of one slide in one place tell of several slides taken for one.
    where = pd.DataFrame(places_of(adata, spatial_key)).assign(slide=slides_of(adata, slide_key))
    if not (n_shared := int(where.duplicated().sum())):
        return []
    hint = "give slide_key" if slide_key is None else f"check column '{slide_key}'"
    return [
        f"{n_shared:,} spots are in the place of another one of their slide. If the data hold several slides, {hint}; "
        "else leave repeats out."
    ]


def number_faults(adata: AnnData, n_neighbors: int, radius: float | None) -> list[str]:
    """What is wrong with the numbers given, and names of spots that are repeated, a sentence each."""
    faults = []
    if n_neighbors not in COUNT:
        faults.append(f"n_neighbors is {n_neighbors}; at least 1 is needed, a whole number.")
    if radius is not None and radius not in POSITIVE:
        faults.append(f"radius is {radius}; it is a distance above 0 in the unit of the places.")
    if n_repeated := int(adata.obs_names.duplicated().sum()):
        faults.append(f"{n_repeated} names of spots are repeated. Use adata.obs_names_make_unique().")
    return faults


def matrix_faults(adata: AnnData, layer: str | None, features: Mapping[str, str]) -> list[str]:
    """What is wrong with the counts and with further matrices, a sentence each."""
    faults = []
    if layer is not None and layer not in adata.layers:
        faults.append(f"there is no layer '{layer}'; there are {list(adata.layers)}.")
    elif not is_supported(matrix := values_of(adata, layer)):
        got = type(matrix).__name__
        faults.append(f"expected counts in a numpy array or a CSR or CSC matrix; got {got}. Convert it.")
    for name, key in features.items():
        if name in (RNA, SPATIAL):
            faults.append(f"features name a modality '{name}', which is made of the counts. Choose another name.")
        if key not in adata.obsm:
            faults.append(f"features of '{name}': obsm has no '{key}'; it has {list(adata.obsm)}.")
    return faults


def _slide_faults(adata: AnnData, key: str | None) -> list[str]:
    if key is None:
        return []
    if key not in adata.obs:
        return [f"obs has no column '{key}' (slide_key); it has {list(adata.obs.columns)}."]
    if n_missing := int(adata.obs[key].isna().sum()):
        return [f"column '{key}' (slide_key) is missing in {n_missing:,} spots. Fill it in or leave them out."]
    return []


def _coordinate_faults(adata: AnnData, key: str) -> list[str]:
    if key not in adata.obsm:
        near = [k for k in adata.obsm if SPATIAL in k]
        hint = f" Is it {near}?" if near else ""
        return [f"obsm has no '{key}' (spatial_key); it has {list(adata.obsm)}.{hint}"]
    places = places_of(adata, key)
    if places.ndim != 2 or places.shape[1] not in (2, 3):
        return [f"obsm['{key}'] has shape {places.shape}; expected 2 or 3 coordinates for each spot."]
    if n_lost := int((~np.isfinite(places).all(axis=1)).sum()):
        return [f"obsm['{key}'] is NaN or infinite in {n_lost:,} spots. Leave them out."]
    return []


def table_of(data: Any, name: str | None, slide_key: str | None) -> tuple[AnnData, str | None]:
    """The spots' table, and the column that names their slides; errors are those of :func:`mmvae.pp.spatial`."""
    if isinstance(data, AnnData):
        return data, slide_key
    if not hasattr(data, "tables"):
        msg = f"Expected an AnnData or a SpatialData; got {type(data).__name__}. Read one with anndata.read_h5ad."
        raise TypeError(msg)
    tables = dict(data.tables)
    if name is None and len(tables) == 1:
        (name,) = tables
    if name not in tables:
        msg = f"Expected table as one of {list(tables)}; got {name!r}."
        raise ValueError(msg)
    adata = tables[name]
    return adata, slide_key or adata.uns.get(ATTRIBUTES, {}).get(REGION_KEY)
