"""What all plots have in common: panels in rows, and what becomes of a figure once it is drawn."""

import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import matplotlib.pyplot as plt
import scanpy as sc
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure

from mmvae._files import replacing

DPI = 150
# Inches: of a panel that a legend beside it may take, and above and beneath one.
ROOM, MARGIN = 1.5, 0.1
# Left, bottom, width and height of a colour bar, in those of the panel.
BAR = (1.04, 0.1, 0.05, 0.8)
Drawn: TypeAlias = Axes | list[Axes] | Figure | None


def panels_in_rows(n_panels: int, ncols: int, size: tuple[float, float], **kwargs: Any) -> list[Axes]:
    """Panels of a new figure, each of ``size`` in inches, at most ``ncols`` beside each other."""
    width = min(ncols, n_panels)
    height = -(-n_panels // width)
    figure = plt.figure(figsize=(width * size[0], height * size[1]), layout="constrained")
    spec = figure.add_gridspec(height, width)
    return [figure.add_subplot(spec[divmod(number, width)], **kwargs) for number in range(n_panels)]


def make_room(axes: Sequence[Axes], size: tuple[float, float]) -> None:
    """Widen and heighten a figure of panels in rows, each of ``size``, by what large legends need."""
    figure: Any = axes[0].figure
    right, height = (defaultdict[int, float](float) for _ in range(2))
    for panel in axes:
        place: Any = panel.get_subplotspec()
        row, column = place.rowspan.start, place.colspan.start
        height[row] = max(height[row], size[1])
        if (legend := panel.get_legend()) is not None:
            legend_box, panel_box = (drawn.get_window_extent() for drawn in (legend, panel))
            right[column] = max(right[column], (legend_box.x1 - panel_box.x1) / figure.dpi - ROOM)
            height[row] = max(height[row], legend_box.height / figure.dpi + MARGIN)
    figure.set_size_inches(figure.get_figwidth() + sum(right.values()), sum(height.values()))


def draw_bar(panel: Axes, scale: ScalarMappable, label: str = "") -> None:
    """A colour bar to the right of a panel, however far the next one is."""
    plt.colorbar(scale, cax=panel.inset_axes(BAR), label=label)


def axes_for(ax: Axes | None, size: tuple[float, float]) -> Axes:
    """The axes given, or those of a new figure of ``size`` in inches."""
    return plt.subplots(figsize=size, layout="constrained")[1] if ax is None else ax


def checked_pair(axes: Sequence[Axes]) -> Sequence[Axes]:
    """``axes``, or ``ValueError`` if they are not two."""
    if len(axes) != 2:
        msg = f"Expected two axes; got {len(axes)}. Make them with plt.subplots."
        raise ValueError(msg)
    return axes


def without_frame(panel: Axes) -> None:
    """Leave out the upper and the right edge."""
    panel.spines[["top", "right"]].set_visible(False)


def finished(
    drawn: Axes | list[Axes], *, show: bool | None, save: str | os.PathLike[str] | None, return_fig: bool
) -> Drawn:
    """Save and show a figure as asked, and return it, or its axes unless they were shown."""
    figure: Any = (drawn[0] if isinstance(drawn, list) else drawn).figure
    if save is not None:
        with replacing(_checked_file(save, figure)) as part:
            figure.savefig(part, dpi=DPI, bbox_inches="tight")
    if return_fig:
        return figure
    if sc.settings.autoshow if show is None else show:
        plt.show()
        return None
    return drawn


def _checked_file(save: str | os.PathLike[str], figure: Figure) -> Path:
    """``save`` as a path, or ``ValueError`` if its ending names no format."""
    endings = sorted(figure.canvas.get_supported_filetypes())
    if not isinstance(save, str | os.PathLike) or Path(save).suffix[1:].lower() not in endings:
        msg = f"Expected save as the name of a file that ends in one of {endings}; got {str(save)!r}. Give such as 'figure.png'."
        raise ValueError(msg)
    return Path(save)
