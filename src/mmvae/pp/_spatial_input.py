"""What `pp.spatial` is given, and what is wrong with it."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from mmvae._checks import COUNT, POSITIVE, number_faults
from mmvae._keys import RNA, SPATIAL
from mmvae.data import is_supported, values_of

SLIDE_NAMES = ("slide", "section", "slide_id", "section_id", "library_id", "orig.ident", "fov", "sample")
# Of cells at random, rounded to half the median distance to the nearest, 3% share a place with one before; of two sections
# on one lattice half do.
MOST_SHARED = 0.05
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
    slides = slides_of(adata, slide_key)
    n_distinct = pd.Series(slides[~_where(adata, slide_key, spatial_key).duplicated().to_numpy()]).value_counts()
    heaped = (n_distinct == 1) & (pd.Series(slides).value_counts() > 1)
    if heaped.any():
        return [f"all spots of a slide are in one place. Put where they lie in obsm['{spatial_key}']."]
    return []


def place_notes(adata: AnnData, slide_key: str | None, spatial_key: str) -> list[str]:
    """What looks as if spots of several slides were taken for those of one, a sentence each."""
    notes = []
    columns = slide_columns(adata.obs) if slide_key is None else []
    if columns:
        key = columns[0]
        notes.append(
            f"All {adata.n_obs:,} spots are taken for one slide, but column '{key}' has {adata.obs[key].nunique()} "
            f"values. If it names slides, give slide_key='{key}'; neighbours are then spots of the same slide."
        )
    return notes + shared_notes(_where(adata, slide_key, spatial_key), slide_key, columns)


def shared_notes(where: pd.DataFrame, slide_key: str | None, columns: Sequence[Hashable]) -> list[str]:
    """Whether too many spots share place and slide, ``where``; ``columns`` may name slides."""
    n_shared = int(where.duplicated().sum())
    if n_shared <= MOST_SHARED * len(where):
        return []
    such = f", such as '{columns[0]}'" if columns else ""
    hint = f"give slide_key, the column that names them{such}" if slide_key is None else f"check column '{slide_key}'"
    return [
        f"{n_shared:,} of {len(where):,} spots are in the place of another one of their slide, more than rounded places make "
        f"likely. If the data hold several slides, {hint}; if spots are repeated, leave repeats out."
    ]


def _where(adata: AnnData, slide_key: str | None, spatial_key: str) -> pd.DataFrame:
    """Place and slide of each spot, a row each."""
    return pd.DataFrame(places_of(adata, spatial_key)).assign(slide=slides_of(adata, slide_key))


def number_and_name_faults(adata: AnnData, n_neighbors: int | None, radius: float | None, n_rings: int) -> list[str]:
    """What is wrong with the numbers given, and names of spots that are repeated, a sentence each."""
    takes = {"n_neighbors": COUNT, "n_rings": COUNT, "radius": POSITIVE}
    faults = number_faults(takes, n_neighbors=n_neighbors, n_rings=n_rings, radius=radius)
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
        if name is not None:
            msg = f"Expected table=None, as an AnnData is one table; got {name!r}. Leave it out."
            raise ValueError(msg)
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
