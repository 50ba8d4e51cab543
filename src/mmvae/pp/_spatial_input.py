"""What `pp.spatial` is given, and what is wrong with it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
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


@dataclass(frozen=True)
class SpatialInput:
    """Arguments of :func:`mmvae.pp.spatial`, of one table."""

    adata: AnnData
    slide_key: str | None
    spatial_key: str
    n_neighbors: int
    radius: float | None
    layer: str | None
    features: Mapping[str, str]

    @cached_property
    def coordinates(self) -> np.ndarray:
        """Places, ``(n_spots, n_dimensions)``."""
        return np.asarray(self.adata.obsm[self.spatial_key], dtype=np.float64)

    @cached_property
    def slides(self) -> np.ndarray:
        """Number of each spot's slide, -1 where it has none, ``(n_spots,)``."""
        if self.slide_key is None:
            return np.zeros(self.adata.n_obs, dtype=int)
        return pd.factorize(self.adata.obs[self.slide_key])[0]

    def faults(self) -> list[str]:
        """Everything that is wrong, a sentence each."""
        slides, places = self._slide_faults(), self._place_faults()
        if not (slides or places):
            places = self._shared_places()
        return [*self._number_faults(), *slides, *self._matrix_faults(), *places]

    def notes(self) -> list[str]:
        """What is not wrong but may be a slip, a sentence each."""
        if self.slide_key is not None:
            return []
        return [
            f"All {self.adata.n_obs:,} spots are taken for one slide, but column '{key}' has {n} values. If it names slides, "
            f"give slide_key='{key}'; neighbours are then spots of the same slide."
            for key in self.adata.obs
            if str(key).lower() in SLIDE_NAMES and (n := self.adata.obs[key].nunique()) > 1
        ][:1]

    def _number_faults(self) -> list[str]:
        faults = []
        if self.n_neighbors not in COUNT:
            faults.append(f"n_neighbors is {self.n_neighbors}; at least 1 is needed, a whole number.")
        if self.radius is not None and self.radius not in POSITIVE:
            faults.append(f"radius is {self.radius}; it is a distance above 0 in the unit of the places.")
        if n_repeated := int(self.adata.obs_names.duplicated().sum()):
            faults.append(f"{n_repeated} names of spots are repeated. Use adata.obs_names_make_unique().")
        return faults

    def _slide_faults(self) -> list[str]:
        key = self.slide_key
        if key is None:
            return []
        if key not in self.adata.obs:
            return [f"obs has no column '{key}' (slide_key); it has {list(self.adata.obs.columns)}."]
        if n_missing := int(self.adata.obs[key].isna().sum()):
            return [f"column '{key}' (slide_key) is missing in {n_missing:,} spots. Fill it in or leave them out."]
        return []

    def _matrix_faults(self) -> list[str]:
        faults = []
        if self.layer is not None and self.layer not in self.adata.layers:
            faults.append(f"there is no layer '{self.layer}'; there are {list(self.adata.layers)}.")
        elif not is_supported(matrix := values_of(self.adata, self.layer)):
            got = type(matrix).__name__
            faults.append(f"expected counts in a numpy array or a CSR or CSC matrix; got {got}. Convert it.")
        for name, key in self.features.items():
            if name in (RNA, SPATIAL):
                faults.append(f"features name a modality '{name}', which is made of the counts. Choose another name.")
            if key not in self.adata.obsm:
                faults.append(f"features of '{name}': obsm has no '{key}'; it has {list(self.adata.obsm)}.")
        return faults

    def _place_faults(self) -> list[str]:
        key = self.spatial_key
        if key not in self.adata.obsm:
            near = [k for k in self.adata.obsm if SPATIAL in k]
            hint = f" Is it {near}?" if near else ""
            return [f"obsm has no '{key}' (spatial_key); it has {list(self.adata.obsm)}.{hint}"]
        if self.coordinates.ndim != 2 or self.coordinates.shape[1] not in (2, 3):
            return [f"obsm['{key}'] has shape {self.coordinates.shape}; expected 2 or 3 coordinates for each spot."]
        if n_lost := int((~np.isfinite(self.coordinates).all(axis=1)).sum()):
            return [f"obsm['{key}'] is NaN or infinite in {n_lost:,} spots. Leave them out."]
        return []

    def _shared_places(self) -> list[str]:
        """Spots of one slide in one place, which tells of several slides taken for one."""
        where = pd.DataFrame(self.coordinates).assign(slide=self.slides)
        if not (n_shared := int(where.duplicated().sum())):
            return []
        hint = "give slide_key" if self.slide_key is None else f"check column '{self.slide_key}'"
        return [
            f"{n_shared:,} spots are in the place of another one of their slide. If the data hold several slides, {hint}; "
            "else leave repeats out."
        ]


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
