"""A prior beside the cells that it is the prior of. D latent dimensions, K components."""

import os
from collections.abc import Callable
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.patches import Ellipse
from matplotlib.patheffects import withStroke
from sklearn.decomposition import PCA

from mmvae._checks import COUNT, COUNT_OR_ZERO, check_numbers
from mmvae.data import presence_of
from mmvae.model import MultiVAE
from mmvae.model._reader import Reader
from mmvae.model.readouts._components import component_names, mixture_of
from mmvae.model.readouts._priors import both_draws
from mmvae.train import seeded

from ._colours import BLUE, INK, ORANGE
from ._finish import Drawn, finished, without_frame

FIGURE, SHAPE = (9.6, 4.2), (2, 4)
MARGINALS = [(0, 2), (0, 3), (1, 2), (1, 3)]
N_BINS, SHOWN_SHARE = 40, 0.998
# Draws by which a component is placed, and the share of the cells below which it is not drawn.
COMPONENT_DRAWS, LEAST_WEIGHT = 2_000, 0.002
HALO = [withStroke(linewidth=2, foreground="white")]
POSTERIOR, PRIOR = "cells, a draw of each posterior", "draws of the prior"


def priors(
    model: MultiVAE,
    modality: str | None = None,
    *,
    n_cells: int = 2_000,
    seed: int = 0,
    show: bool | None = None,
    save: str | os.PathLike[str] | None = None,
    return_fig: bool = False,
) -> Drawn:
    """Plot a latent's prior and the cells that have it: where they lie alike, the prior fits.

    A draw of each cell's posterior and as many of the prior, on the principal components of the posterior means: the first
    two together, and the first four each alone, with their share of the variance of the means. Components of a mixture are drawn by their means and two standard
    deviations, with the names that they have in :meth:`~mmvae.MultiVAE.prior_summary`.
    :meth:`~mmvae.MultiVAE.check_prior` tests all dimensions.

    Parameters
    ----------
    model
        A trained model with its data.
    modality
        Whose latent; may be left out if there is one.
    n_cells, seed
        Cells to use at most, of those that have the modality, and the seed of their choice and the draws.
    show, save, return_fig
        As in :func:`mmvae.pl.spatial`.

    Returns
    -------
    The axes, if ``show`` is ``False``: of both components, of which there are none where the latent has one dimension, and
    of each alone.

    Examples
    --------
    >>> mmvae.pl.priors(model, "rna")
    """
    check_numbers({"n_cells": COUNT, "seed": COUNT_OR_ZERO}, n_cells=n_cells, seed=seed)
    reader = Reader(model)
    name = reader.modality(modality)
    latent, dims = model.module.fusion.latent_of(name)
    having = np.flatnonzero(presence_of(reader.data(), [name])[:, 0])
    cells = np.sort(np.random.default_rng(seed).permutation(having)[:n_cells])
    means: Any = model.get_latent_representation(indices=cells, representation=name)
    places = PCA(min(len(MARGINALS), *means.shape), svd_solver="full").fit(means)
    with seeded(seed):
        posterior, prior = (places.transform(own[:, dims]) for own in both_draws(reader, cells)[latent])
    figure = plt.figure(figsize=FIGURE, layout="constrained")
    figure.suptitle(f"{latent}: prior '{model.module.priors[latent].name}'")
    spec = figure.add_gridspec(*SHAPE)
    axes = []
    if places.n_components_ > 1:
        axes.append(figure.add_subplot(spec[:, :2]))
        _draw_pair(axes[0], posterior, prior)
        _draw_components(axes[0], reader, latent, lambda draws: places.transform(draws[:, dims])[:, :2], seed)
        keys = axes[0].get_legend_handles_labels()
        figure.legend(*keys, loc="outside lower center", ncols=len(keys[0]), frameon=False, markerscale=3)
    for number, place in enumerate(MARGINALS[: places.n_components_]):
        axes.append(figure.add_subplot(spec[place]))
        _draw_marginal(axes[-1], posterior[:, number], prior[:, number])
        share = places.explained_variance_ratio_[number]
        axes[-1].set_title(f"PC {number + 1} ({share:.0%})", fontsize="medium")
    return finished(axes, show=show, save=save, return_fig=return_fig)


def _draw_pair(panel: Axes, posterior: np.ndarray, prior: np.ndarray) -> None:
    for points, colour, label in ((posterior, BLUE, POSTERIOR), (prior, ORANGE, PRIOR)):
        panel.scatter(points[:, 0], points[:, 1], 6, colour, alpha=0.6, linewidth=0, label=label, rasterized=True)
    panel.set(xlabel="PC 1", ylabel="PC 2")
    without_frame(panel)


def _draw_components(
    panel: Axes, reader: Reader, latent: str, to_plane: Callable[[np.ndarray], np.ndarray], seed: int
) -> None:
    """Ellipses of two standard deviations of the components of a mixture, wider lines for those with more weight."""
    mixture = mixture_of(reader.module, latent)
    if mixture is None:
        return
    with seeded(seed), torch.inference_mode():
        draws = mixture.component_distribution.sample((COMPONENT_DRAWS,)).cpu().numpy()
    weights = mixture.mixture_distribution.probs.detach().cpu().numpy()
    names, _ = component_names(reader, latent, len(weights))
    drawn = np.flatnonzero(weights >= LEAST_WEIGHT)
    for number in drawn:
        points = to_plane(draws[:, number])
        width = 0.5 + 3 * weights[number] ** 0.5
        label = "components of the prior, two standard deviations" if number == drawn[0] else None
        panel.add_patch(_ellipse(points, edgecolor=INK, facecolor="none", linewidth=width, label=label))
        panel.annotate(
            names[number], points.mean(axis=0), ha="center", va="center", fontsize="small", path_effects=HALO
        )


def _ellipse(points: np.ndarray, **kwargs: Any) -> Ellipse:
    """Two standard deviations of points, ``(n, 2)``, around their mean."""
    variances, axes = np.linalg.eigh(np.cov(points.T))
    width, height = 4 * np.sqrt(variances)
    return Ellipse(tuple(points.mean(axis=0)), width, height, angle=np.degrees(np.arctan2(*axes[::-1, 0])), **kwargs)


def _draw_marginal(panel: Axes, posterior: np.ndarray, prior: np.ndarray) -> None:
    both = np.concatenate([posterior, prior])
    low, high = np.quantile(both, [1 - SHOWN_SHARE, SHOWN_SHARE])
    edges = list(np.linspace(low, high, N_BINS))
    panel.hist(posterior, edges, density=True, color=BLUE, alpha=0.5)
    panel.hist(prior, edges, density=True, histtype="step", color=ORANGE, linewidth=2)
    panel.set_yticks([])
    without_frame(panel)
    panel.spines["left"].set_visible(False)
