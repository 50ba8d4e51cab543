"""How training went."""

import os
from collections.abc import Sequence

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes

from mmvae.model import MultiVAE
from mmvae.train import metric

from ._finish import Drawn, checked_pair, finished, without_frame

FIGURE = (10.0, 3.6)
# Early epochs are far above the rest: the axis ends a little above what this share of the epochs reaches.
SHOWN_SHARE = 0.9
MARGIN = 0.1


def history(
    model: MultiVAE,
    *,
    axes: Sequence[Axes] | None = None,
    show: bool | None = None,
    save: str | os.PathLike[str] | None = None,
    return_fig: bool = False,
) -> Drawn:
    """Plot the loss of training and validation, and what each latent carries, over the epochs.

    The left panel shows the negative evidence lower bound; the right one the Kullback-Leibler divergence of each
    latent from its prior on training cells. Both are in nats per cell. The epoch whose weights the model holds is
    marked.

    Parameters
    ----------
    model
        A trained model.
    axes
        Two axes to draw on; a new figure by default.
    show, save, return_fig
        As in :func:`mmvae.pl.spatial`.

    Returns
    -------
    The two axes if ``show`` is ``False``, else nothing.

    Raises
    ------
    ValueError
        If the model is not trained, or ``axes`` are not two.

    Examples
    --------
    >>> mmvae.pl.history(model)
    """
    if not model.history_:
        msg = "Expected a trained model; got one without a history. Call model.train() first."
        raise ValueError(msg)
    if axes is None:
        axes = plt.subplots(1, 2, figsize=FIGURE, layout="constrained")[1]
    left, right = checked_pair(axes)
    _draw_loss(left, model)
    for name in model.module.priors:
        values = metric(model.history_, f"kl_{name}_train")
        right.plot(values.index, values, label=name)
    right.set_ylim(bottom=0)
    right.set(title="What each latent carries", ylabel="KL from the prior (nats per cell)")
    for panel in (left, right):
        if model.best_epoch_ is not None:
            label = f"best epoch: {model.best_epoch_}"
            panel.axvline(model.best_epoch_, color="0.5", linestyle="--", linewidth=1, label=label)
        panel.set_xlabel("epoch")
        without_frame(panel)
        panel.legend(frameon=False)
    return finished([left, right], show=show, save=save, return_fig=return_fig)


def _draw_loss(panel: Axes, model: MultiVAE) -> None:
    curves = {label: metric(model.history_, f"elbo_{label}") for label in ("train", "validation")}
    for label, values in curves.items():
        if len(values):
            panel.plot(values.index, values, label="training" if label == "train" else label)
    shown = pd.concat(curves.values())
    low, high = shown.min(), shown.quantile(SHOWN_SHARE)
    if high > low:
        panel.set_ylim(low - MARGIN * (high - low), high + MARGIN * (high - low))
    panel.set(title="Loss", ylabel="negative ELBO (nats per cell)")
