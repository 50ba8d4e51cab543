"""Which features a dimension stands for. G features, D dimensions."""

import os
from collections.abc import Hashable, Iterable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from mmvae._checks import COUNT, check_is, check_numbers

from ._colours import BLUE, VERMILION
from ._finish import Drawn, finished, panels_in_rows, without_frame

# Inches: of a panel, of a feature, of what lies above and below.
WIDTH, ROW, MARGIN = 3.2, 0.21, 0.9
DEFAULT_DIMENSIONS = 4


def loadings(
    frame: pd.DataFrame | pd.Series,
    dimensions: Iterable[Hashable] | Hashable | None = None,
    *,
    n_features: int = 10,
    ncols: int = 4,
    ax: Axes | None = None,
    show: bool | None = None,
    save: str | os.PathLike[str] | None = None,
    return_fig: bool = False,
) -> Drawn:
    """Plot the features with the largest loadings of each dimension, whichever their sign.

    Parameters
    ----------
    frame
        Loadings, features by dimensions. Features may be named by modality and name, in two levels of the index.
    dimensions
        Columns of ``frame`` to draw, in this order; by default the first four.
    n_features
        Features to draw of each.
    ncols
        Panels beside each other.
    ax
        Axes to draw on, where there is one dimension.
    show, save, return_fig
        As in :func:`mmvae.pl.spatial`.

    Returns
    -------
    The axes, if ``show`` is ``False``: one for one dimension, else a list.

    Raises
    ------
    ValueError
        If ``frame`` has no such columns, or a number is not one.

    Examples
    --------
    >>> mmvae.pl.loadings(frame, n_features=15)
    """
    check_is("frame", frame, pd.DataFrame, pd.Series, advice="Give what model.get_loadings returns.")
    table = frame.to_frame() if isinstance(frame, pd.Series) else frame
    chosen = _chosen(table, dimensions)
    faults = [] if chosen else [f"Expected dimensions to draw; got none of {list(table.columns)}."]
    if unknown := [name for name in chosen if name not in table.columns]:
        faults.append(f"Expected dimensions among {list(table.columns)}; got {unknown}.")
    if ax is not None and len(chosen) > 1:
        faults.append(f"Expected one dimension with ax; got {len(chosen)}.")
    check_numbers({"n_features": COUNT, "ncols": COUNT}, faults, n_features=n_features, ncols=ncols)
    height = MARGIN + ROW * min(n_features, len(table))
    axes = [ax] if ax is not None else panels_in_rows(len(chosen), ncols, (WIDTH, height))
    for panel, name in zip(axes, chosen, strict=True):
        _draw(panel, table[name].dropna(), n_features)
        panel.set_title(str(name))
    return finished(axes if len(axes) > 1 else axes[0], show=show, save=save, return_fig=return_fig)


def _chosen(table: pd.DataFrame, dimensions: Iterable[Hashable] | Hashable | None) -> list[Hashable]:
    """The columns to draw."""
    if dimensions is None:
        return list(table.columns[:DEFAULT_DIMENSIONS])
    return list(dimensions) if isinstance(dimensions, Iterable) and not isinstance(dimensions, str) else [dimensions]


def _draw(panel: Axes, values: pd.Series, n_features: int) -> None:
    top = values.loc[values.abs().sort_values(ascending=False, kind="stable").index[:n_features]]
    names = [":".join(map(str, name)) if isinstance(name, tuple) else str(name) for name in top.index]
    panel.barh(range(len(top)), top, color=np.where(top > 0, BLUE, VERMILION))
    panel.axvline(0, color="black", linewidth=0.8)
    panel.set_yticks(range(len(top)), names)
    panel.invert_yaxis()
    panel.set_xlabel("loading")
    without_frame(panel)
