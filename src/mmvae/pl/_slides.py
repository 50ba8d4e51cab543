"""Slides to draw: which cells lie on them, where, and over which image. N spots of a slide."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from scipy.spatial import KDTree

from mmvae._keys import SPATIAL
from mmvae.data import modalities_of, rows_of
from mmvae.pp._spatial_input import SLIDE_NAMES

from ._values import find_column

IMAGES = ("hires", "lowres")
# Circles of this many times the distance between neighbours close a hexagonal lattice.
CLOSED = 2 / 3**0.5


@dataclass(frozen=True)
class Image:
    """An image, and its left, right, bottom and top in the unit of the places."""

    pixels: np.ndarray
    extent: tuple[float, float, float, float]
    spot_diameter: float | None


@dataclass(frozen=True)
class Slide:
    """Cells of one slide by number, ``(n_spots,)``, their places, ``(n_spots, 2)``, and the image beneath them."""

    name: str
    cells: np.ndarray
    places: np.ndarray
    image: Image | None

    @property
    def spot_diameter(self) -> float:
        """Diameter of a spot: the true one over an image, else one that closes the lattice."""
        if self.image is not None and self.image.spot_diameter is not None:
            return self.image.spot_diameter
        places = np.unique(self.places, axis=0)
        if len(places) < 2:
            return 1.0
        return CLOSED * float(np.median(KDTree(places).query(places, k=2)[0][:, 1]))


@dataclass(frozen=True)
class SlideInput:
    """Arguments of :func:`mmvae.pl.spatial` that say what lies where."""

    data: AnnData | MuData
    slide_key: str | None
    spatial_key: str
    slides: Sequence[str] | None
    image: bool | str

    def read(self) -> tuple[list[Slide], list[str]]:
        """The slides, and everything that is wrong, a sentence each."""
        places, names = _places(self.data, self.spatial_key), self._names()
        faults = self._place_faults(places)
        if names is None:
            columns = list(self.data.obs.columns)
            return [], [*faults, f"slide_key: obs has no column '{self.slide_key}'; it has {columns}."]
        known = list(names.cat.categories)
        wanted = known if self.slides is None else [str(s) for s in self.slides]
        unknown = [s for s in wanted if s not in known]
        if unknown and self.slide_key is None:
            faults.append("slides are given, but no slide_key, the column that names them.")
        elif unknown:
            faults.append(f"there are no slides {unknown}; there are {known}.")
        if places is None or faults:
            return [], faults
        has_place = np.isfinite(places).all(axis=1)
        cells = {name: np.flatnonzero((names == name).to_numpy() & has_place) for name in wanted}
        try:
            slides = [Slide(s, cells[s], places[cells[s]], self._image(s)) for s in wanted if len(cells[s])]
        except LookupError as error:
            return [], [str(error)]
        return slides, [] if slides else [f"obsm['{self.spatial_key}'] has no place of a cell on {wanted}."]

    def _place_faults(self, places: np.ndarray | None) -> list[str]:
        if places is None:
            there = {key for adata in [self.data, *modalities_of(self.data).values()] for key in adata.obsm}
            return [
                f"obsm has no places of cells '{self.spatial_key}' (spatial_key), an array of two or three columns; there are "
                f"{sorted(there)}."
            ]
        n_shared = int(pd.DataFrame(places).dropna().duplicated().sum())
        if self.slide_key is not None or not n_shared:
            return []
        columns = [c for c in self.data.obs if str(c).lower() in SLIDE_NAMES and self.data.obs[c].nunique() > 1]
        hint = f", such as '{columns[0]}'" if columns else ""
        return [
            f"{n_shared:,} cells are in the place of another one, so the data hold several slides. Give slide_key, the column "
            f"that names them{hint}."
        ]

    def _names(self) -> pd.Series | None:
        """Slide of each cell, a category of text; ``None`` if there is no such column."""
        if self.slide_key is None:
            return pd.Series([""] * self.data.n_obs, dtype="category")
        if (found := find_column(self.data, self.slide_key)) is None:
            return None
        column = found[0].reset_index(drop=True).astype("category").cat.remove_unused_categories()
        return column.cat.rename_categories(list(map(str, column.cat.categories)))

    def _image(self, name: str) -> Image | None:
        """The slide's image, if it is there and wanted; ``LookupError`` without a scale or the resolution asked for."""
        entry = self._entry(name) if self.image is not False else {}
        images = entry.get("images", {})
        if not images:
            return None
        keys = IMAGES if self.image is True else (self.image,)
        key = next((k for k in keys if k in images), None)
        factors: Mapping[str, Any] = entry.get("scalefactors", {})
        if key is None or f"tissue_{key}_scalef" not in factors:
            msg = (
                f"the image of '{name}' is there as {list(images)} with {list(factors)}; expected one of {list(keys)} and its "
                "'tissue_<key>_scalef'. Name an image with image=, or give image=False."
            )
            raise LookupError(msg)
        pixels, scale = np.asarray(images[key]), float(factors[f"tissue_{key}_scalef"])
        # the middle of the first pixel is the origin
        left, right, bottom = ((edge - 0.5) / scale for edge in (0, pixels.shape[1], pixels.shape[0]))
        diameter = factors.get("spot_diameter_fullres")
        return Image(pixels, (left, right, bottom, left), diameter and float(diameter))

    def _entry(self, name: str) -> Mapping[str, Any]:
        """What ``uns["spatial"]`` holds of a slide: the only one where slides have no names."""
        for adata in (self.data, *modalities_of(self.data).values()):
            # Other programs than scanpy keep flags of their own there.
            known = adata.uns.get(SPATIAL)
            items = known.items() if isinstance(known, Mapping) else ()
            entries = {key: entry for key, entry in items if isinstance(entry, Mapping)}
            if self.slide_key is None and len(entries) == 1:
                return next(iter(entries.values()))
            if name in entries:
                return entries[name]
        return {}


def _places(data: AnnData | MuData, key: str) -> np.ndarray | None:
    """Places in the data's or a modality's ``obsm``, NaN where a cell has none, ``(n_cells, 2)``."""
    modalities = modalities_of(data)
    holders = [(np.arange(data.n_obs), data), *((rows_of(data, name), adata) for name, adata in modalities.items())]
    for rows, adata in holders:
        # mudata keeps which cells have a modality under its name, one column wide.
        if key in adata.obsm and np.ndim(adata.obsm[key]) == 2 and adata.obsm[key].shape[1] in (2, 3):
            places = np.asarray(adata.obsm[key], dtype=float)[:, :2]
            return np.where((rows < 0)[:, None], np.nan, places[rows])
    return None
