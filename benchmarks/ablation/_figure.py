"""The figure of the ladder: each arm's difference to A0, paired by seed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ._verdicts import differences, half_width

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from matplotlib.axes import Axes

PANELS = {
    "iwae": "held-out IWAE-64, nats\n(up is better)",
    "c2st": "c2st of the priors\n(down is better)",
    "nll": "NLL of a withheld modality, nats\n(down is better)",
    "foscttm": "FOSCTTM\n(down is better)",
    "transfer": "label transfer\n(up is better)",
    "bio": "bio-conservation\n(up is better)",
}
ARMS = ("A1", "A2", "A3", "A4g", "A4f")


def draw(table: pd.DataFrame, sets: list[str], path: Path) -> None:
    """Means with 95% intervals, and single seeds as dots."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 3, figsize=(11, 6), layout="constrained")
    for axis, (metric, title) in zip(axes.flat, PANELS.items(), strict=True):
        for place, data in enumerate(sets):
            _points(axis, table, data, metric, place, len(sets))
        axis.axhline(0, color="0.6", linewidth=0.8, zorder=0)
        axis.set_xticks(range(len(ARMS)), ARMS)
        axis.set_xlim(-0.5, len(ARMS) - 0.5)
        axis.set_title(title, fontsize=10)
    axes[0, 0].set_ylabel("difference to A0")
    axes[1, 0].set_ylabel("difference to A0")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=len(sets), frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def _points(axis: Axes, table: pd.DataFrame, data: str, metric: str, place: int, n_sets: int) -> None:
    offset = (place - (n_sets - 1) / 2) * 0.8 / max(n_sets, 1)
    found = {x: differences(table, data, arm, "A0", metric) for x, arm in enumerate(ARMS)}
    found = {x + offset: difference for x, difference in found.items() if len(difference)}
    if not found:
        return
    widths = [half_width(difference) if len(difference) > 1 else 0.0 for difference in found.values()]
    means = [difference.mean() for difference in found.values()]
    axis.errorbar(list(found), means, widths, fmt="o", markersize=5, color=f"C{place}", capsize=2, label=data)
    x = np.concatenate([np.full(len(difference), at) for at, difference in found.items()])
    axis.scatter(x, np.concatenate(list(found.values())), s=6, color=f"C{place}", alpha=0.5)
