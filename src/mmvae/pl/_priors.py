"""A prior beside the cells that it is the prior of. D latent dimensions, K components."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.patches import Ellipse
from matplotlib.patheffects import withStroke
from sklearn.decomposition import PCA

from mmvae._checks import COUNT, SEED, check_numbers
from mmvae.data import presence_of
from mmvae.model import MultiVAE
from mmvae.model._reader import Reader
from mmvae.model.readouts._components import component_names, mixture_of
from mmvae.model.readouts._priors import both_draws
from mmvae.train import seeded

from ._colours import BLUE, INK, ORANGE
from ._finish import Drawn, finished, without_frame

MOST_MARGINALS = 4
N_BINS, SHOWN_SHARE = (8, 40), 0.998
# Draws by which a component is placed, and the share of the cells below which it is not drawn.
COMPONENT_DRAWS, LEAST_WEIGHT = 2_000, 0.002
# Of a name, as a share of the axes.
NAME_ROOM = np.array([0.045, 0.06])
HALO = [withStroke(linewidth=2, foreground="white")]
POSTERIOR, PRIOR = "cells, a draw of each posterior", "draws of the prior"


@dataclass(frozen=True)
class _Layout:
    """Inches of the figure, cells of its grid, those of both components together and of each alone; entries of a row of the key."""

    size: tuple[float, float]
    grid: tuple[int, int]
    pair: tuple[slice, slice]
    marginals: tuple[tuple[int, int], ...]
    key_columns: int


WIDE = _Layout((9.6, 4.2), (2, 4), (slice(0, 2), slice(0, 2)), ((0, 2), (0, 3), (1, 2), (1, 3)), 3)
TALL = _Layout((4.2, 6.8), (4, 2), (slice(0, 2), slice(0, 2)), ((2, 0), (2, 1), (3, 0), (3, 1)), 1)


def priors(
    model: MultiVAE,
    modality: str | None = None,
    *,
    n_cells: int = 2_000,
    seed: int = 0,
    tall: bool = False,
    show: bool | None = None,
    save: str | os.PathLike[str] | None = None,
    return_fig: bool = False,
) -> Drawn:
    """Plot a latent's prior and the cells that have it: where they lie alike, the prior fits.

    A draw of each cell's posterior and as many of the prior, on the principal components of the posterior means: the first
    two together, and the first four each alone, with their share of the variance of the means. Components of a mixture are
    drawn by their means and two standard deviations, with the names that they have in
    :meth:`~mmvae.MultiVAE.prior_summary`. :meth:`~mmvae.MultiVAE.check_prior` tests all dimensions.

    Parameters
    ----------
    model
        A trained model with its data.
    modality
        Whose latent; may be left out if there is one.
    n_cells, seed
        Cells to use at most, of those that have the modality, and the seed of their choice and the draws.
    tall
        Whether the panels of single components stand beneath that of two, for a narrow page.
    show, save, return_fig
        As in :func:`mmvae.pl.spatial`.

    Returns
    -------
    The axes, if ``show`` is ``False``: of both components, of which there are none where the latent has one dimension, and
    of each alone.

    Raises
    ------
    ValueError
        If no cell has the modality.

    Examples
    --------
    >>> mmvae.pl.priors(model, "rna")
    """
    check_numbers({"n_cells": COUNT, "seed": SEED}, n_cells=n_cells, seed=seed)
    reader = Reader(model)
    name = reader.modality(modality)
    latent, dims = model.module.fusion.latent_of(name)
    having = np.flatnonzero(presence_of(reader.data(), [name])[:, 0])
    if len(having) == 0:
        msg = f"Expected cells that have '{name}'; the model's data have none. Load it with data that have some."
        raise ValueError(msg)
    cells = np.sort(np.random.default_rng(seed).permutation(having)[:n_cells])
    means: Any = model.get_latent_representation(indices=cells, representation=name)
    places = PCA(min(MOST_MARGINALS, *means.shape), svd_solver="full").fit(means)
    with seeded(seed):
        posterior, prior = (places.transform(own[:, dims]) for own in both_draws(reader, cells)[latent])
        components = [
            (name, weight, places.transform(own[:, dims])) for name, weight, own in _components(reader, latent)
        ]
    layout = TALL if tall else WIDE
    pair, marginals = _axes(places.n_components_, layout)
    if pair is not None:
        _draw_pair(pair, posterior, prior)
        _draw_components(pair, components)
    for number, (panel, share) in enumerate(zip(marginals, places.explained_variance_ratio_, strict=True)):
        _draw_marginal(panel, posterior[:, number], prior[:, number])
        panel.set_title(f"PC {number + 1} ({share:.0%})", fontsize="medium")
    axes = marginals if pair is None else [pair, *marginals]
    _finish(axes[0], f"{latent}: prior '{model.module.priors[latent].name}'", layout.key_columns)
    return finished(axes, show=show, save=save, return_fig=return_fig)


def _axes(n_dimensions: int, layout: _Layout) -> tuple[Axes | None, list[Axes]]:
    """Of the first two components together, if there are two, and of each alone."""
    spec = plt.figure(figsize=layout.size, layout="constrained").add_gridspec(*layout.grid)
    pair = plt.subplot(spec[layout.pair]) if n_dimensions > 1 else None
    return pair, [plt.subplot(spec[place]) for place in layout.marginals[:n_dimensions]]


def _finish(panel: Axes, title: str, key_columns: int) -> None:
    figure: Any = panel.figure
    figure.suptitle(title)
    keys = panel.get_legend_handles_labels()
    figure.legend(*keys, loc="outside lower center", ncols=min(key_columns, len(keys[0])), frameon=False, markerscale=3)


@torch.inference_mode()
def _components(reader: Reader, latent: str) -> list[tuple[str, float, np.ndarray]]:
    """Name and weight of each component of a mixture, and draws of it, ``(n_draws, D)``; none of another prior."""
    mixture = mixture_of(reader.module, latent)
    if mixture is None:
        return []
    draws = mixture.component_distribution.sample(torch.Size([COMPONENT_DRAWS])).cpu().numpy()
    weights = mixture.mixture_distribution.probs.tolist()
    names, _ = component_names(reader, latent, len(weights))
    return [(name, weights[k], draws[:, k]) for k, name in enumerate(names) if weights[k] >= LEAST_WEIGHT]


def _draw_pair(panel: Axes, posterior: np.ndarray, prior: np.ndarray) -> None:
    for points, colour, label in ((posterior, BLUE, POSTERIOR), (prior, ORANGE, PRIOR)):
        panel.scatter(points[:, 0], points[:, 1], 6, colour, alpha=0.6, linewidth=0, label=label, rasterized=True)
    panel.set(xlabel="PC 1", ylabel="PC 2")
    without_frame(panel)


def _draw_components(panel: Axes, components: Sequence[tuple[str, float, np.ndarray]]) -> None:
    """Ellipses of two standard deviations, with wider lines where there is more weight, and names."""
    for number, (_, weight, points) in enumerate(components):
        label = "components of the prior, two standard deviations" if number == 0 else None
        width = 0.5 + 3 * weight**0.5
        panel.add_patch(_ellipse(points[:, :2], edgecolor=INK, facecolor="none", linewidth=width, label=label))
    centres = np.array([points[:, :2].mean(axis=0) for _, _, points in components])
    room = NAME_ROOM * np.array([np.ptp(panel.get_xlim()), np.ptp(panel.get_ylim())])
    for (name, _, _), centre, place in zip(components, centres, _apart(centres, room), strict=True):
        line = {"arrowstyle": "-", "color": INK, "linewidth": 0.5, "shrinkA": 0, "shrinkB": 0}
        style: Any = {"ha": "center", "va": "center", "fontsize": "small", "path_effects": HALO, "arrowprops": line}
        panel.annotate(name, tuple(centre), tuple(place), **style)


def _apart(centres: np.ndarray, room: np.ndarray) -> list[np.ndarray]:
    """Places as near to the centres, ``(K, 2)``, as can be without one in the room of another, from the first on."""
    around = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    steps = [radius * np.array([np.cos(angle), np.sin(angle)]) for radius in range(6) for angle in around]
    places: list[np.ndarray] = []
    for centre in centres:
        near = [centre + step * room for step in steps]
        free = [place for place in near if all((np.abs(place - other) >= room).any() for other in places)]
        places.append((free or near)[0])
    return places


def _ellipse(points: np.ndarray, **kwargs: Any) -> Ellipse:
    """Two standard deviations of points, ``(n, 2)``, around their mean."""
    variances, axes = np.linalg.eigh(np.cov(points.T))
    width, height = 4 * np.sqrt(variances)
    return Ellipse(tuple(points.mean(axis=0)), width, height, angle=np.degrees(np.arctan2(*axes[::-1, 0])), **kwargs)


def _draw_marginal(panel: Axes, posterior: np.ndarray, prior: np.ndarray) -> None:
    both = np.concatenate([posterior, prior])
    low, high = np.quantile(both, [1 - SHOWN_SHARE, SHOWN_SHARE])
    edges = list(np.linspace(low, high, int(np.clip(2 * len(posterior) ** 0.5, *N_BINS))))
    panel.hist(posterior, edges, density=True, color=BLUE, alpha=0.5, label=POSTERIOR)
    panel.hist(prior, edges, density=True, histtype="step", color=ORANGE, linewidth=2, label=PRIOR)
    panel.set_yticks([])
    without_frame(panel)
    panel.spines["left"].set_visible(False)
