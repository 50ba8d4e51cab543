"""Cells on the slides that they lie on, in colours that are the same on all slides. N spots of a slide."""

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import EllipseCollection
from matplotlib.colors import Normalize, to_rgba_array
from matplotlib.lines import Line2D
from mudata import MuData

from mmvae._checks import COUNT, POSITIVE, check_is, check_texts, listed, number_faults
from mmvae._errors import SetupError
from mmvae._keys import SPATIAL

from ._colours import MISSING, category_colours
from ._finish import Drawn, draw_bar, finished
from ._slides import Slide, read_slides, slide_notes
from ._values import find_values

PANEL = (3.4, 3.2)
# Room for the legend or colour bar, in panels.
KEY_ROOM = 0.4
# Points; it sets spots off from the colours of a stain.
EDGE = 0.4
MISSING_LABEL = "NA"
LEGEND_ROWS = 14


@dataclass(frozen=True)
class _Colouring:
    """Values of all cells, ``(n_cells,)``, and their scale, which gives numbers or categories their colours."""

    name: str
    values: pd.Series
    scale: ScalarMappable | Mapping[str, str]
    has_missing: bool

    def spots(self, slide: Slide, diameter: float) -> Iterator[EllipseCollection]:
        """Circles for the spots of a slide, those without a value first."""
        here = self.values.iloc[slide.cells]
        known = here.notna().to_numpy()
        if not known.all():
            yield _circles(slide.places[~known], diameter, MISSING)
        if not known.any():
            return
        if isinstance(self.scale, ScalarMappable):
            circles = _circles(slide.places[known], diameter, None)
            circles.set(array=here[known].to_numpy(), cmap=self.scale.cmap, norm=self.scale.norm)
        else:
            colours = to_rgba_array([self.scale[value] for value in here[known]])
            circles = _circles(slide.places[known], diameter, colours)
        yield circles


def spatial(
    mdata: MuData | AnnData,
    color: str | Sequence[str],
    *,
    slide_key: str | None = None,
    spatial_key: str = SPATIAL,
    slides: Sequence[str] | None = None,
    ncols: int = 4,
    size: float = 1.0,
    image: bool | str = True,
    palette: str | Mapping[str, str] | None = None,
    show: bool | None = None,
    save: str | os.PathLike[str] | None = None,
    return_fig: bool = False,
) -> Drawn:
    """Plot cells where they lie, a panel for each slide and colour.

    All slides of a colour have one scale, and one legend or colour bar. Cells without a value, such as those that lack the
    modality of a gene, are light grey and lie beneath the others. An image of a slide in ``uns["spatial"]``, as scanpy reads
    it, is drawn beneath the spots. Nothing of ``mdata`` is changed.

    Parameters
    ----------
    mdata
        Cells with places in ``obsm``, of the MuData or of a modality, such as :func:`mmvae.pp.spatial` makes.
    color
        What to colour by, one or several of

        - a column of ``obs``, or of a modality's as ``"rna:column"``;
        - a gene or another feature, ``"EPCAM"``, or ``"rna:EPCAM"`` where several modalities have it: values of X;
        - a dimension of an embedding in ``obsm``, ``"X_mmvae:3"``, counted from 0, or the name of a DataFrame's column,
          as ``"mmvae_components_rna:2"``.
    slide_key
        Column of ``obs`` that names the slide, section or field of view, also in ``uns["spatial"]``; all cells are on one
        slide if it is ``None``.
    spatial_key
        Where the places are in ``obsm``, ``(n_cells, 2)`` or ``(n_cells, 3)``, of which the first two are taken.
    slides
        Slides to draw, in this order; all by default.
    ncols
        Panels beside each other.
    size
        Diameter of a spot relative to the default: over an image the true one, ``spot_diameter_fullres``, else one that
        closes a lattice of the slide's median distance between neighbours.
    image
        Whether to draw images; or which, such as ``"lowres"``. By default ``"hires"``, else ``"lowres"``.
    palette
        A colour map's name for numbers, by default scanpy's; or colours by category. Categories take the colours in
        ``uns["<column>_colors"]`` by default, else seven that everybody can tell apart, or scanpy's where there are more.
    show
        Whether to show the figure; by default as ``scanpy.settings.autoshow`` says.
    save
        File to write the figure to; its ending says in which format.
    return_fig
        Whether to return the figure in place of the axes, and not to show it.

    Returns
    -------
    The axes if ``show`` is ``False``, colour after colour and slide after slide, else nothing.

    Raises
    ------
    SetupError
        If colours, slides or places are not there; the message lists all faults.

    Warns
    -----
    UserWarning
        If many cells lie in the place of another one of their slide, as where several slides are taken for one.

    Examples
    --------
    >>> mdata = mmvae.pp.spatial(adata, slide_key="section")
    >>> mmvae.pl.spatial(mdata, ["region", "rna:ERBB2"], slide_key="section")
    >>> mmvae.pl.spatial(mdata, "X_mmvae_spatial:0", slide_key="section", slides=["A1", "B1"], image=False)
    """
    check_is("mdata", mdata, MuData, AnnData)
    check_texts(slide_key=slide_key, spatial_key=spatial_key)
    names, slides = listed("color", color), None if slides is None else listed("slides", slides)
    found, faults = read_slides(mdata, slide_key, spatial_key, slides, image)
    drawn = np.concatenate([slide.cells for slide in found]) if found else np.zeros(0, dtype=int)
    chosen, more = _colourings(mdata, names, drawn, palette)
    faults += more
    if faults := [*faults, *number_faults({"ncols": COUNT, "size": POSITIVE}, ncols=ncols, size=size)]:
        raise SetupError(faults)
    for note in slide_notes(mdata, found, slide_key):
        warnings.warn(note, UserWarning, stacklevel=2)
    grid = _panels(len(chosen), len(found), ncols)
    for colouring, panels in zip(chosen, grid, strict=True):
        for panel, slide in zip(panels, found, strict=True):
            _draw(panel, slide, colouring, size)
            panel.set_title(slide.name or colouring.name)
        _draw_key(panels[min(ncols, len(panels)) - 1], colouring)
    axes = [panel for panels in grid for panel in panels]
    return finished(axes, show=show, save=save, return_fig=return_fig)


def _panels(n_colours: int, n_slides: int, ncols: int) -> list[list[Axes]]:
    """The panels of each colour: rows of slides for each, or rows of colours where there is one slide."""
    by_colour = n_slides > 1
    width = min(ncols, n_slides if by_colour else n_colours)
    rows_each = -(-n_slides // width)
    n_rows = n_colours * rows_each if by_colour else -(-n_colours // width)
    room = KEY_ROOM if by_colour else KEY_ROOM * width
    figure = plt.figure(figsize=((width + room) * PANEL[0], n_rows * PANEL[1]), layout="constrained")
    spec = figure.add_gridspec(n_rows, width)
    step = rows_each * width if by_colour else 1
    return [[figure.add_subplot(spec[divmod(c * step + s, width)]) for s in range(n_slides)] for c in range(n_colours)]


def _draw(panel: Axes, slide: Slide, colouring: _Colouring, size: float) -> None:
    if slide.image is not None:
        pixels, extent = slide.image
        panel.imshow(pixels, extent=extent, cmap="gray", origin="upper")
    diameter = slide.spot_diameter * size
    for spots in colouring.spots(slide, diameter):
        spots.set_offset_transform(panel.transData)
        if slide.image is not None:
            spots.set(edgecolor="white", linewidth=EDGE)
        panel.add_collection(spots)
    (left, top), (right, bottom) = slide.places.min(axis=0) - diameter, slide.places.max(axis=0) + diameter
    panel.set(xlim=(left, right), ylim=(bottom, top), aspect="equal", xticks=[], yticks=[])


def _colourings(
    data: AnnData | MuData, names: Sequence[str], drawn: np.ndarray, palette: str | Mapping[str, str] | None
) -> tuple[list[_Colouring], list[str]]:
    """How to colour by each name where the cells ``drawn`` are, and what is wrong with the names, a sentence each."""
    chosen: list[_Colouring] = []
    faults = [] if names else ["color is empty; name what to colour by."]
    if isinstance(palette, str) and palette not in mpl.colormaps:
        return [], [*faults, f"palette '{palette}' is no colour map of matplotlib; give such as 'viridis'."]
    scale: ScalarMappable | Mapping[str, str]
    for name in names:
        try:
            values, stored = find_values(data, name)
            here = values.iloc[drawn]
            if isinstance(values.dtype, pd.CategoricalDtype):
                scale = category_colours(name, here, stored, palette)
            else:
                scale = _number_scale(here, palette)
        except LookupError as error:
            faults.append(f"color: {error.args[0]}")
        else:
            chosen.append(_Colouring(name, values, scale, bool(here.isna().any())))
    return chosen, faults


def _draw_key(panel: Axes, colouring: _Colouring) -> None:
    """A colour bar or a legend to the right of a panel."""
    if isinstance(colouring.scale, ScalarMappable):
        draw_bar(panel, colouring.scale, colouring.name)
        return
    entries = dict(colouring.scale) | ({MISSING_LABEL: MISSING} if colouring.has_missing else {})
    dots = [Line2D([], [], marker="o", linestyle="", color=colour, label=label) for label, colour in entries.items()]
    panel.legend(
        handles=dots,
        title=colouring.name,
        loc="center left",
        bbox_to_anchor=(1, 0.5),
        frameon=False,
        ncols=-(-len(dots) // LEGEND_ROWS),
    )


def _number_scale(here: pd.Series, palette: str | Mapping[str, str] | None) -> ScalarMappable:
    finite = here[np.isfinite(here)]
    low, high = (finite.min(), finite.max()) if len(finite) else (0.0, 1.0)
    norm = Normalize(low, high if high > low else low + 1)
    return ScalarMappable(norm, palette if isinstance(palette, str) else None)


def _circles(places: np.ndarray, diameter: float, colours: np.ndarray | str | None) -> EllipseCollection:
    size, angle = np.full(len(places), diameter), np.zeros(len(places))
    return EllipseCollection(size, size, angle, units="xy", offsets=places, facecolors=colours, linewidth=0)
