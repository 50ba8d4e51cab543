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
from mmvae.pp._spatial_input import shared_notes, slide_columns

from ._values import find_column

IMAGES = ("hires", "lowres")
# Circles of this many times the distance between neighbours close a hexagonal lattice.
CLOSED = 2 / 3**0.5


@dataclass(frozen=True)
class Slide:
    """Cells of one slide by number, ``(N,)``, their places, ``(N, 2)``, and an image with its extent among these."""

    name: str
    cells: np.ndarray
    places: np.ndarray
    image: tuple[np.ndarray, tuple[float, float, float, float]] | None
    spot_diameter: float


def read_slides(
    data: AnnData | MuData, slide_key: str | None, spatial_key: str, slides: Sequence[str] | None, image: bool | str
) -> tuple[list[Slide], list[str]]:
    """The slides that :func:`mmvae.pl.spatial` is to draw, and all that is wrong, a sentence each."""
    places, names = _places(data, spatial_key), _names(data, slide_key)
    faults = _place_faults(data, places, spatial_key)
    if names is None:
        return [], [*faults, f"slide_key: obs has no column '{slide_key}'; it has {list(data.obs.columns)}."]
    known = list(names.cat.categories)
    wanted = known if slides is None else [str(s) for s in slides]
    unknown = [s for s in wanted if s not in known]
    if unknown and slide_key is None:
        faults.append("slides are given, but no slide_key, the column that names them.")
    elif unknown:
        faults.append(f"there are no slides {unknown}; there are {known}.")
    if places is None or faults:
        return [], faults
    has_place = np.isfinite(places).all(axis=1)
    cells = {name: np.flatnonzero((names == name).to_numpy() & has_place) for name in wanted}
    try:
        found = [
            _slide(s, cells[s], places[cells[s]], {} if image is False else _entry(data, s, slide_key), image)
            for s in wanted
            if len(cells[s])
        ]
    except LookupError as error:
        return [], [str(error)]
    return found, [] if found else [f"obsm['{spatial_key}'] has no place of a cell on {wanted}."]


def _place_faults(data: AnnData | MuData, places: np.ndarray | None, spatial_key: str) -> list[str]:
    if places is None:
        there = sorted({key for adata in [data, *modalities_of(data).values()] for key in adata.obsm})
        return [
            f"obsm has no places of cells '{spatial_key}' (spatial_key), an array of two or three columns; there are "
            f"{there}."
        ]
    return []


def slide_notes(data: AnnData | MuData, slides: Sequence[Slide], slide_key: str | None) -> list[str]:
    """What looks as if cells of several slides were taken for those of one, in the words of :func:`mmvae.pp.spatial`."""
    where = pd.concat([pd.DataFrame(slide.places).assign(slide=slide.name) for slide in slides])
    return shared_notes(where, slide_key, slide_columns(data.obs))


def _names(data: AnnData | MuData, slide_key: str | None) -> pd.Series | None:
    """Slide of each cell, a category of text; ``None`` if there is no such column."""
    if slide_key is None:
        return pd.Series([""] * data.n_obs, dtype="category")
    if (found := find_column(data, slide_key)) is None:
        return None
    column = found[0].reset_index(drop=True).astype("category").cat.remove_unused_categories()
    return column.cat.rename_categories(list(map(str, column.cat.categories)))


def _slide(name: str, cells: np.ndarray, places: np.ndarray, entry: Mapping[str, Any], image: bool | str) -> Slide:
    """A slide with the image of its ``entry``; ``LookupError`` without a scale or the resolution asked for."""
    images = entry.get("images", {})
    if not images:
        return Slide(name, cells, places, None, _closed_lattice(places))
    keys = IMAGES if image is True else (image,)
    key = next((k for k in keys if k in images), None)
    factors: Mapping[str, Any] = entry.get("scalefactors", {})
    if key is None or f"tissue_{key}_scalef" not in factors:
        msg = (
            f"the image of '{name}' is there as {list(images)} with {list(factors)}; expected one of {list(keys)} and "
            "its 'tissue_<key>_scalef'. Name an image with image=, or give image=False."
        )
        raise LookupError(msg)
    pixels, scale = np.asarray(images[key]), float(factors[f"tissue_{key}_scalef"])
    # the middle of the first pixel is the origin
    left, right, bottom = ((edge - 0.5) / scale for edge in (0, pixels.shape[1], pixels.shape[0]))
    diameter = float(factors.get("spot_diameter_fullres") or _closed_lattice(places))
    return Slide(name, cells, places, (pixels, (left, right, bottom, left)), diameter)


def _closed_lattice(places: np.ndarray) -> float:
    """Diameter of circles that close the lattice of the places."""
    places = np.unique(places, axis=0)
    return CLOSED * float(np.median(KDTree(places).query(places, k=2)[0][:, 1])) if len(places) > 1 else 1.0


def _entry(data: AnnData | MuData, name: str, slide_key: str | None) -> Mapping[str, Any]:
    """What ``uns["spatial"]`` holds of a slide: the only one where slides have no names."""
    for adata in (data, *modalities_of(data).values()):
        # Other programs than scanpy keep flags of their own there.
        known = adata.uns.get(SPATIAL)
        items = known.items() if isinstance(known, Mapping) else ()
        entries = {key: entry for key, entry in items if isinstance(entry, Mapping)}
        if slide_key is None and len(entries) == 1:
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
