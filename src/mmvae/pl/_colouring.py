"""Colours of values, the same on all slides, and what tells the reader about them. N spots of a slide."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import scanpy as sc
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import EllipseCollection
from matplotlib.colors import Normalize, to_rgba_array
from matplotlib.lines import Line2D
from mudata import MuData

from ._slides import Slide
from ._values import find_values

MISSING = "lightgray"
MISSING_LABEL = "NA"
LEGEND_ROWS = 14
# Left, bottom, width and height of a colour bar, in those of the panel.
BAR = (1.04, 0.1, 0.05, 0.8)


@dataclass(frozen=True)
class Colouring:
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


def colourings(
    data: AnnData | MuData, names: Sequence[str], drawn: np.ndarray, palette: str | Mapping[str, str] | None
) -> tuple[list[Colouring], list[str]]:
    """How to colour by each name where the cells ``drawn`` are, and what is wrong with the names, a sentence each."""
    chosen: list[Colouring] = []
    faults = [] if names else ["color is empty; name what to colour by."]
    if isinstance(palette, str) and palette not in mpl.colormaps:
        return [], [*faults, f"palette '{palette}' is no colour map of matplotlib; give such as 'viridis'."]
    scale: ScalarMappable | Mapping[str, str]
    for name in names:
        try:
            values, stored = find_values(data, name)
            here = values.iloc[drawn]
            if isinstance(values.dtype, pd.CategoricalDtype):
                scale = _category_colours(name, here, stored, palette)
            else:
                scale = _number_scale(here, palette)
        except LookupError as error:
            faults.append(f"color: {error.args[0]}")
        else:
            chosen.append(Colouring(name, values, scale, bool(here.isna().any())))
    return chosen, faults


def draw_key(panel: Axes, colouring: Colouring) -> None:
    """A colour bar or a legend to the right of a panel."""
    if isinstance(colouring.scale, ScalarMappable):
        plt.colorbar(colouring.scale, cax=panel.inset_axes(BAR), label=colouring.name)
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


def _category_colours(
    name: str, here: pd.Series, stored: Sequence[str], palette: str | Mapping[str, str] | None
) -> dict[str, str]:
    """Colours of the categories drawn; each keeps its colour whichever others are. ``LookupError`` if one has none."""
    categories = list(here.cat.categories)
    there = set(here.dropna())
    if isinstance(palette, Mapping):
        colours = {str(category): colour for category, colour in palette.items()}
    else:
        enough = stored if len(stored) >= len(categories) else _scanpy_colours(len(categories))
        colours = dict(zip(categories, enough, strict=False))
    if lacking := sorted(there - set(colours)):
        msg = f"palette has no colour of {lacking} of '{name}'; it has {list(colours)}."
        raise LookupError(msg)
    return {category: colours[category] for category in categories if category in there}


def _scanpy_colours(n: int) -> list[str]:
    """The palette that scanpy takes for so many categories."""
    palettes = sc.pl.palettes
    cycle = plt.rcParams["axes.prop_cycle"].by_key().get("color", [])
    for colours in (cycle, palettes.default_20, palettes.default_28, palettes.default_102):
        if n <= len(colours):
            return list(colours)
    return [mpl.colors.to_hex(colour) for colour in mpl.colormaps["gist_rainbow"](np.linspace(0, 1, n))]


def _circles(places: np.ndarray, diameter: float, colours: np.ndarray | str | None) -> EllipseCollection:
    size, angle = np.full(len(places), diameter), np.zeros(len(places))
    return EllipseCollection(size, size, angle, units="xy", offsets=places, facecolors=colours, linewidth=0)
