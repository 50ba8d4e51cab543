"""The figure of the comparison with peers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np

from ._tables import METHODS, OWN, TASKS, TITLES, columns_of, of_metric, of_runs

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from matplotlib.axes import Axes

COLORS = {
    "mmvae": "#d1495b",
    "pca": "#8d99ae",
    "wnn": "#5c677d",
    "mofa": "#2a9d8f",
    "scvi": "#b5a642",
    "totalvi": "#e9a03b",
    "multivi": "#3d6fb6",
    "multigrate": "#7b4fa3",
}
MARKERS = ("o", "D", "^", "s")
SHORT = {"mosaic30": "30%", "mosaic60": "60%", "batch": "batch", "complete": ""}


def draw(table: pd.DataFrame, path: Path) -> None:
    """Draw all data sets and methods: cell types, mixing, mosaics, and time."""
    found = table.dropna(subset=["value"])
    complete = found[found["task"] == "complete"]
    with plt.rc_context({"font.size": 8, "axes.titlesize": 9, "axes.titleweight": "bold"}):
        figure, axes = plt.subplots(2, 3, figsize=(11, 10), layout="constrained", height_ratios=(1, 1.5))
        _panel(axes[0, 0], of_metric(complete, "bio"), "bio", "cell types kept apart (1 best)")
        _panel(axes[0, 1], of_metric(complete, "batch_mixing"), "batch_mixing", "batches mixed (1 full)")
        _panel(axes[0, 2], of_runs(complete), "seconds", "seconds a run, one thread")
        axes[0, 2].set_xscale("log")
        _panel(axes[1, 0], of_metric(found, "transfer_f1"), "transfer_f1", "labels of incomplete cells, F1 (1 best)")
        _panel(axes[1, 1], of_metric(found, "pattern_mixing"), "pattern_mixing", "missing patterns mixed (1 ideal)")
        _panel(axes[1, 2], of_metric(found, "foscttm"), "foscttm", "FOSCTTM of modalities (0 best)")
        for axis in (axes[0, 1], axes[1, 1]):
            axis.axvline(1, color="0.6", linewidth=0.8, zorder=0)
        figure.legend(*_legend(found), loc="outside lower center", ncols=8, frameon=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=150)
        plt.close(figure)


def _panel(axis: Axes, found: pd.DataFrame, column: str, title: str) -> None:
    """A line of dots for each data set and task, with the standard deviations over seeds."""
    lines = [(d, t) for d in TITLES for t in TASKS if ((found["data"] == d) & (found["task"] == t)).any()]
    for number, (data, task) in enumerate(lines):
        own = found[(found["data"] == data) & (found["task"] == task)]
        if number % 2:
            axis.axhspan(number - 0.5, number + 0.5, color="0.96", zorder=0)
        places = dict(zip(METHODS, np.linspace(-0.32, 0.32, len(METHODS)), strict=True))
        for method, readout in columns_of(own):
            values = own.loc[(own["method"] == method) & (own["readout"] == readout), column].to_numpy(dtype=float)
            spread = values.std(ddof=1) if len(values) > 1 else 0
            axis.errorbar(
                values.mean(), number + places[method], xerr=spread, **_style(method, _rank(found, method, readout))
            )
    axis.set_yticks(range(len(lines)), [f"{data} {SHORT[task]}".strip() for data, task in lines])
    axis.set_ylim(len(lines) - 0.5, -0.5)
    axis.set_title(title, loc="left")
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(axis="x", color="0.92", linewidth=0.8)


def _rank(found: pd.DataFrame, method: str, readout: str) -> int:
    """Which of the method's readouts this is."""
    return list(found.loc[found["method"] == method, "readout"].unique()).index(readout)


def _style(method: str, rank: int) -> dict[str, object]:
    own = method == OWN
    return {
        "fmt": MARKERS[rank % len(MARKERS)],
        "color": COLORS[method],
        "markersize": 5.5 if own else 4,
        "markerfacecolor": "white" if rank else COLORS[method],
        "elinewidth": 1,
        "zorder": 3 if own else 2,
    }


def _legend(found: pd.DataFrame) -> tuple[list[object], list[str]]:
    handles, labels = [], []
    for (method, readout), heading in columns_of(found).items():
        style = _style(method, _rank(found, method, readout))
        keep = {name: style[name] for name in ("color", "markersize", "markerfacecolor")}
        handles.append(plt.Line2D([], [], marker=style["fmt"], linestyle="", **keep))
        labels.append(heading if method != OWN or heading != METHODS[OWN] else f"{heading}, {readout}")
    return handles, labels
