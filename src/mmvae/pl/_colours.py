"""Colours that those who see fewer colours can tell apart, and those of categories."""

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
import scanpy as sc

from mmvae._checks import check_is

# Okabe and Ito (2008), without yellow, which is too light for dots on white, and with black the last.
BLUE, ORANGE, GREEN, VERMILION, SKY, PURPLE = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#56b4e9", "#cc79a7"
SAFE = [BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, "#000000"]
INK, GREY, MISSING = "0.2", "0.6", "lightgray"


def category_colours(
    name: str, here: pd.Series, stored: Sequence[str], palette: str | Mapping[str, str] | None = None
) -> dict[str, str]:
    """Colours of the categories drawn; each keeps its colour whichever others are. ``LookupError`` if one has none."""
    if palette is not None:
        check_is("palette", palette, str, Mapping)
    categories = list(here.cat.categories)
    there = set(here.dropna())
    if isinstance(palette, Mapping):
        colours = {str(category): colour for category, colour in palette.items()}
    else:
        enough = stored if len(stored) >= len(categories) else colours_of(len(categories))
        colours = dict(zip(categories, enough, strict=False))
    if lacking := sorted(there - set(colours)):
        msg = f"palette has no colour of {lacking} of '{name}'; it has {list(colours)}."
        raise LookupError(msg)
    return {category: colours[category] for category in categories if category in there}


def colours_of(n: int) -> list[str]:
    """So many colours: up to seven that everybody can tell apart, and above that scanpy's."""
    palettes = sc.pl.palettes
    for colours in (SAFE, palettes.default_20, palettes.default_28, palettes.default_102):
        if n <= len(colours):
            return list(colours)
    return [mpl.colors.to_hex(colour) for colour in mpl.colormaps["gist_rainbow"](np.linspace(0, 1, n))]
