"""How much each modality counts, and how much it told of each cell."""

import os
from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from mmvae.model import MultiVAE

from ._colours import SAFE, colours_of
from ._finish import Drawn, checked_pair, finished, without_frame

HEIGHT, WIDTH, EACH = 3.4, 4.0, 1.4
MEASURES = ["weight", "reliability", "certainty", "agreement"]


def modality_weights(
    model: MultiVAE,
    *,
    axes: Sequence[Axes] | None = None,
    show: bool | None = None,
    save: str | os.PathLike[str] | None = None,
    return_fig: bool = False,
) -> Drawn:
    """Plot how much each modality counts in the fused latent, and how much it told of each cell.

    Left are the columns of :meth:`~mmvae.MultiVAE.get_modality_weights`, right how
    :meth:`~mmvae.MultiVAE.get_modality_information` is distributed over the model's cells that have the modality, with the
    median.

    Parameters
    ----------
    model
        A model trained to its end, with its data.
    axes
        Two axes to draw on; a new figure by default.
    show, save, return_fig
        As in :func:`mmvae.pl.spatial`.

    Returns
    -------
    The two axes, if ``show`` is ``False``.

    Examples
    --------
    >>> mmvae.pl.modality_weights(model)
    """
    weights, information = model.get_modality_weights(), model.get_modality_information()
    if axes is None:
        size = (2 * WIDTH + EACH * len(weights), HEIGHT)
        axes = plt.subplots(1, 2, figsize=size, layout="constrained", width_ratios=[2, 1])[1]
    left, right = checked_pair(axes)
    _draw_weights(left, weights)
    _draw_information(right, information)
    for panel in (left, right):
        without_frame(panel)
    return finished([left, right], show=show, save=save, return_fig=return_fig)


def _draw_weights(panel: Axes, weights: pd.DataFrame) -> None:
    width = 0.8 / len(MEASURES)
    for number, (measure, colour) in enumerate(zip(MEASURES, SAFE, strict=False)):
        places = np.arange(len(weights)) + (number - (len(MEASURES) - 1) / 2) * width
        panel.bar(places, weights[measure], width, color=colour, label=measure)
    panel.set_xticks(range(len(weights)), weights.index)
    panel.set(title="How much each modality counts, and why", ylim=(0, 1))
    panel.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))


def _draw_information(panel: Axes, information: pd.DataFrame) -> None:
    known = [information[name].dropna() for name in information]
    drawn = panel.violinplot(known, range(len(known)), showmedians=True, showextrema=False, widths=0.8)
    bodies: Any = drawn["bodies"]
    for body, colour in zip(bodies, colours_of(len(known)), strict=False):
        body.set(facecolor=colour, alpha=0.7)
    drawn["cmedians"].set_color("black")
    panel.set_xticks(range(len(known)), information.columns)
    panel.set(title="What it told of a cell", ylabel="nats")
    panel.set_ylim(bottom=0)
