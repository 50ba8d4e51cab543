"""Which cells have which modalities. P patterns, M modalities."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.axes import Axes
from mudata import MuData

from mmvae._checks import check_is, check_texts
from mmvae._errors import SetupError
from mmvae.data import modalities_of, presence_of

from ._colours import BLUE, INK, MISSING, category_colours
from ._finish import Drawn, checked_pair, finished, without_frame
from ._values import find_values

# Inches: of a column and a row of dots, of names beside them, of the bars, of a column of the legend.
COLUMN, ROW, MARGINS, BARS, LEGEND = 0.75, 0.32, 1.8, 2.6, 2.0
WIDTH, DOT = 0.7, 70
NO_VALUE = "NA"
LEGEND_ROWS = 10


def presence(
    mdata: MuData | AnnData,
    batch_key: str | None = None,
    *,
    axes: Sequence[Axes] | None = None,
    show: bool | None = None,
    save: str | os.PathLike[str] | None = None,
    return_fig: bool = False,
) -> Drawn:
    """Plot how many cells have which modalities, by batch if asked.

    A column is a combination of modalities, whose dots say which, and its bar says how many cells have just these. Beside
    the name of a modality is how many cells have it at all.

    Parameters
    ----------
    mdata
        Cells with any of the modalities.
    batch_key
        Column of ``obs``, or of a modality's as ``"rna:column"``, by which bars are divided.
    axes
        Two axes to draw on, one above the other; a new figure by default.
    show, save, return_fig
        As in :func:`mmvae.pl.spatial`.

    Returns
    -------
    The two axes, if ``show`` is ``False``.

    Raises
    ------
    SetupError
        If there is no such column.

    Examples
    --------
    >>> mmvae.pl.presence(mdata, "batch")
    """
    check_is("mdata", mdata, MuData, AnnData)
    check_texts(batch_key=batch_key)
    names = list(modalities_of(mdata))
    has = presence_of(mdata, names)
    patterns, codes = np.unique(has, axis=0, return_inverse=True)
    counts, colours = _counts(pd.Series(codes.ravel(), index=mdata.obs_names), mdata, batch_key)
    legend_columns = -(-len(colours) // LEGEND_ROWS) if batch_key is not None else 0
    if axes is None:
        axes = _two_axes(len(patterns), len(names), legend_columns)
    bars, dots = checked_pair(axes)
    _draw_bars(bars, counts, colours)
    if batch_key is not None:
        style: Any = {"frameon": False, "fontsize": "small", "loc": "upper left", "bbox_to_anchor": (1, 1)}
        bars.legend(title=batch_key, ncols=legend_columns, **style)
    _draw_dots(dots, patterns[counts.index])
    labels = [f"{name} ({n:,})" for name, n in zip(names, has.sum(axis=0), strict=True)]
    dots.set_yticks(range(len(names)), labels)
    return finished([bars, dots], show=show, save=save, return_fig=return_fig)


def _counts(codes: pd.Series, data: MuData | AnnData, batch_key: str | None) -> tuple[pd.DataFrame, dict[str, str]]:
    """Cells by pattern, the most frequent first, and batch, and the batches' colours."""
    order = codes.value_counts().index
    if batch_key is None:
        return codes.value_counts().to_frame("cells"), {"cells": BLUE}
    try:
        batch, stored = find_values(data, batch_key)
    except LookupError as error:
        raise SetupError([f"batch_key: {error.args[0]}"]) from None
    if not isinstance(batch.dtype, pd.CategoricalDtype):
        batch = batch.astype("category").cat.rename_categories("{:g}".format)
    colours = category_colours(batch_key, batch, stored)
    if batch.isna().any():
        batch, colours = batch.cat.add_categories(NO_VALUE).fillna(NO_VALUE), colours | {NO_VALUE: MISSING}
    return pd.crosstab(codes, batch).loc[order, list(colours)], colours


def _two_axes(n_patterns: int, n_modalities: int, legend_columns: int) -> list[Axes]:
    """Bars over dots, with room for each."""
    size = MARGINS + COLUMN * n_patterns + LEGEND * legend_columns, BARS + ROW * n_modalities
    figure = plt.figure(figsize=size, layout="constrained")
    bars, dots = figure.subplots(2, 1, sharex=True, height_ratios=[BARS, ROW * n_modalities])
    return [bars, dots]


def _draw_bars(bars: Axes, counts: pd.DataFrame, colours: Mapping[str, str]) -> None:
    base, totals = np.zeros(len(counts)), counts.sum(axis=1).to_numpy()
    for name, colour in colours.items():
        bars.bar(range(len(counts)), counts[name], WIDTH, bottom=base, color=colour, label=name)
        base += counts[name].to_numpy()
    for place, total in enumerate(totals):
        bars.annotate(f"{total:,}", (place, total), (0, 2), textcoords="offset points", ha="center", va="bottom")
    bars.margins(y=0.12)
    bars.set_ylabel("cells")
    bars.yaxis.set_major_formatter("{x:,.0f}")
    bars.tick_params(bottom=False, labelbottom=False)
    without_frame(bars)


def _draw_dots(dots: Axes, patterns: np.ndarray) -> None:
    """A column of dots for each pattern, ``(P, M)``, dark where it has the modality, which a line joins."""
    columns, rows = np.indices(patterns.shape)
    dots.scatter(columns, rows, DOT, np.where(patterns, INK, MISSING).ravel(), zorder=2)
    for column, pattern in enumerate(patterns):
        if pattern.any():
            ends = np.flatnonzero(pattern)[[0, -1]]
            dots.plot([column, column], ends, color=INK, linewidth=2, zorder=1)
    dots.set(ylim=(patterns.shape[1] - 0.5, -0.5), xlim=(-0.6, len(patterns) - 0.4), xticks=[])
    dots.spines[:].set_visible(False)
    dots.tick_params(left=False)
