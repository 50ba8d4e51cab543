"""What the modalities agree on, by dimension."""

import os

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from mmvae.model import MultiVAE

from ._colours import BLUE, GREY, VERMILION
from ._finish import Drawn, axes_for, finished, without_frame

SIZE = (5.6, 3.4)


def shared_spectrum(
    model: MultiVAE,
    *,
    ax: Axes | None = None,
    show: bool | None = None,
    save: str | os.PathLike[str] | None = None,
    return_fig: bool = False,
) -> Drawn:
    """Plot the eigenvalues of the correlations of the modalities' latents, and how large chance makes them.

    Those above the line are the dimensions of ``representation="shared"``, see
    :meth:`~mmvae.MultiVAE.get_shared_spectrum`. At 1 the modalities agree on nothing; where all M agree wholly it is M.

    Parameters
    ----------
    model
        A trained model with several modalities, and its training cells or a spectrum that it was asked for before.
    ax
        Axes to draw on; a new figure by default.
    show, save, return_fig
        As in :func:`mmvae.pl.spatial`.

    Returns
    -------
    The axes, if ``show`` is ``False``.

    Examples
    --------
    >>> mmvae.pl.shared_spectrum(model)
    """
    spectrum = model.get_shared_spectrum()
    threshold = (model.memory.shared or {})["threshold"]
    is_shared = spectrum > threshold
    panel = axes_for(ax, SIZE)
    dimensions = np.arange(1, len(spectrum) + 1)
    parts = {"shared": (is_shared, BLUE), "not told from chance": (~is_shared, GREY)}
    for label, (chosen, colour) in parts.items():
        panel.vlines(dimensions[chosen], 1, spectrum[chosen], color=colour)
        panel.plot(dimensions[chosen], spectrum[chosen], "o", color=colour, label=f"{label}: {chosen.sum()}")
    panel.axhline(threshold, color=VERMILION, linestyle="--", label=f"threshold: {threshold:.2f}")
    panel.axhline(1, color=GREY, linewidth=1)
    panel.set(title="What the modalities share", xlabel="dimension", ylabel="eigenvalue")
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    panel.legend(frameon=False)
    without_frame(panel)
    return finished(panel, show=show, save=save, return_fig=return_fig)
