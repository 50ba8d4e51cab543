"""Differences between groups of cells: how large, and how sure."""

import os
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from mmvae._checks import COUNT, COUNT_OR_ZERO, check_is, check_numbers, listed

from ._colours import BLUE, GREY, INK, VERMILION
from ._finish import Drawn, finished, panels_in_rows, without_frame

PANEL = (4.8, 4.0)
# Where no sample says that a feature differs, its Bayes factor is a number that stands for nothing.
LEAST_SURE = -10.0
COMPARISON, SURE, CALLED = "comparison", "bayes_factor", "is_de_fdr_"
CHANGES = {"lfc_mean": "log2 fold change", "lfc_median": "log2 fold change", "difference_mean": "difference"}
# Of the axes: the height of a label, and where those of either side end; of the data: room for them beside the dots.
LABEL, LEFT, RIGHT, ROOM = 0.05, 0.02, 1.0, 0.45


def volcano(
    frame: pd.DataFrame,
    comparison: str | Sequence[str] | None = None,
    *,
    n_labels: int = 10,
    ncols: int = 3,
    ax: Axes | None = None,
    show: bool | None = None,
    save: str | os.PathLike[str] | None = None,
    return_fig: bool = False,
) -> Drawn:
    """Plot how large each feature's difference is, and how sure, a panel for each comparison.

    Features that pass the false discovery rate are coloured, and the surest of them named, of equals those that differ
    most. Highest are those that differ in all samples, and lowest, at -10, those that differ in none or next to none.

    Parameters
    ----------
    frame
        What ``differential_expression`` or ``differential_accessibility`` gave, features by columns: ``lfc_mean`` (or
        ``lfc_median`` or ``difference_mean``), ``bayes_factor`` and ``is_de_fdr_*``; and ``comparison``, where there are
        several.
    comparison
        Comparisons to draw, in this order; all by default.
    n_labels
        Features to name in each panel; on either side there is room for twenty.
    ncols
        Panels beside each other.
    ax
        Axes to draw on, where there is one comparison.
    show, save, return_fig
        As in :func:`mmvae.pl.spatial`.

    Returns
    -------
    The axes, if ``show`` is ``False``: one for one comparison, else a list.

    Raises
    ------
    ValueError
        If ``frame`` lacks a column or a comparison, or a number is not one.

    Examples
    --------
    >>> frame = model.differential_expression(groupby="cell_type", group1="B", group2="NK")
    >>> mmvae.pl.volcano(frame)
    """
    check_is("frame", frame, pd.DataFrame, advice="Give what model.differential_expression returns.")
    columns, faults = _columns(frame)
    groups = _groups(frame)
    chosen = list(groups) if comparison is None else listed("comparison", comparison)
    if unknown := [name for name in chosen if name not in groups]:
        faults.append(f"Expected comparisons among {list(groups)}; got {unknown}.")
    if repeated := [name for name in chosen if name in groups and not groups[name].index.is_unique]:
        faults.append(
            f"Expected each feature once in a comparison; got it several times in {repeated}. Choose rows, such as frame[frame['donor'] == 'a']."
        )
    if not chosen:
        faults.append("Expected a comparison with features; got none.")
    if ax is not None and len(chosen) > 1:
        faults.append(f"Expected one comparison with ax; got {len(chosen)}.")
    check_numbers({"n_labels": COUNT_OR_ZERO, "ncols": COUNT}, faults, n_labels=n_labels, ncols=ncols)
    axes = [ax] if ax is not None else panels_in_rows(len(chosen), ncols, PANEL)
    for panel, name in zip(axes, chosen, strict=True):
        points = groups[name][columns].set_axis(["x", "y", "is_called"], axis=1)
        _draw(panel, points.assign(y=points["y"].clip(lower=LEAST_SURE)), n_labels)
        panel.set(title=name, xlabel=CHANGES[columns[0]], ylabel="Bayes factor (log odds)")
    return finished(axes if len(axes) > 1 else axes[0], show=show, save=save, return_fig=return_fig)


def _columns(frame: pd.DataFrame) -> tuple[list[str], list[str]]:
    """Columns for the place, the height and the colour of a dot, and which are missing, a sentence each."""
    called = [column for column in map(str, frame) if column.startswith(CALLED)]
    known: dict[str, list[str]] = {
        " or ".join(CHANGES): [c for c in CHANGES if c in frame],
        SURE: [SURE] * (SURE in frame),
    }
    known |= {f"{CALLED}*": called}
    lacking = [words for words, there in known.items() if not there]
    hint = "That is what differential_expression gives in mode='change'."
    faults = [f"Expected columns {lacking}; got {list(frame.columns)}. {hint}"] if lacking else []
    return [there[0] for there in known.values() if there], faults


def _groups(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Rows by comparison, in the order of the frame."""
    if COMPARISON not in frame:
        return {"": frame} if len(frame) else {}
    return {str(name): rows for name, rows in frame.groupby(COMPARISON, sort=False, observed=True)}


def _draw(panel: Axes, points: pd.DataFrame, n_labels: int) -> None:
    """Dots of a comparison with columns ``x``, ``y`` and ``is_called``."""
    parts = {
        "more": (points["is_called"] & (points["x"] > 0), VERMILION),
        "less": (points["is_called"] & (points["x"] <= 0), BLUE),
        "not told apart": (~points["is_called"], GREY),
    }
    for label, (chosen, colour) in parts.items():
        panel.scatter(
            points["x"][chosen], points["y"][chosen], 8, colour, label=f"{label}: {chosen.sum():,}", linewidth=0
        )
    panel.axvline(0, color="black", linewidth=0.8)
    panel.margins(x=ROOM if n_labels else None)
    panel.legend(
        frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=3, columnspacing=1, handletextpad=0
    )
    without_frame(panel)
    called = points[points["is_called"]]
    order = np.lexsort((-called["x"].abs(), -called["y"]))
    top = called.iloc[order[:n_labels]]
    for side in (top[top["x"] <= 0], top[top["x"] > 0]):
        _label(panel, side.sort_values("y", ascending=False, kind="stable"))


def _label(panel: Axes, points: pd.DataFrame) -> None:
    """Names of points, from above to below, at the edge that is nearer, none over another, with lines to the points."""
    if points.empty:
        return
    is_right = points["x"].iloc[0] > 0
    low, high = panel.get_ylim()
    heights = _apart((points["y"].to_numpy() - low) / (high - low))
    for name, x, y, height in zip(points.index, points["x"], points["y"], heights, strict=True):
        panel.annotate(
            str(name),
            (x, y),
            (RIGHT if is_right else LEFT, height),
            textcoords="axes fraction",
            ha="right" if is_right else "left",
            va="center",
            fontsize="small",
            color=INK,
            arrowprops={"arrowstyle": "-", "color": GREY, "linewidth": 0.5, "relpos": (0 if is_right else 1, 0.5)},
        )


def _apart(wanted: np.ndarray) -> np.ndarray:
    """Heights near to those wanted, which descend, so far apart that labels do not touch, within 0 and 1 if they fit."""
    placed = wanted.clip(0, 1)
    for number in range(1, len(placed)):
        placed[number] = min(placed[number], placed[number - 1] - LABEL)
    return placed + max(0.0, -placed.min())
