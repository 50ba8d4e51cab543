"""Reading a mixture prior: C cells, D latent dimensions, K components, B batches, G features, S draws."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, MixtureSameFamily, MultivariateNormal, Normal

from ._effects import gains

MIN_CELLS = 1.0


def responsibilities(mixture: MixtureSameFamily, values: Tensor, observed_dims: Tensor | None = None) -> Tensor:
    r""":math:`p(k \mid z)`, ``(n_cells, K)``, the mean over draws of z, ``(n_draws, n_cells, D)``; rows sum to 1.

    Dimensions that are not among ``observed_dims``, boolean, ``(n_cells, D)``, are integrated out. Cells without any
    get the components' weights.
    """
    if observed_dims is None:
        return _posterior(mixture, mixture.component_distribution, values)
    out = values.new_zeros(values.shape[1], mixture.component_distribution.batch_shape[-1])
    for pattern in torch.unique(observed_dims, dim=0):
        cells = (observed_dims == pattern).all(dim=1)
        if bool(pattern.any()):
            inside = _of_dimensions(mixture.component_distribution, pattern)
            out[cells] = _posterior(mixture, inside, values[:, cells][..., pattern])
        else:
            out[cells] = mixture.mixture_distribution.probs
    return out


def _posterior(mixture: MixtureSameFamily, components: Distribution, values: Tensor) -> Tensor:
    weights = mixture.mixture_distribution.logits.log_softmax(dim=-1)
    return (weights + components.log_prob(values[..., None, :])).softmax(dim=-1).mean(dim=0)


def _of_dimensions(components: Any, inside: Tensor) -> Distribution:
    """The components' marginals over some dimensions."""
    if bool(inside.all()):
        return components
    if isinstance(components, MultivariateNormal):
        covariance = components.covariance_matrix[:, inside][:, :, inside]
        return MultivariateNormal(components.loc[:, inside], covariance, validate_args=False)
    base = components.base_dist
    return Independent(Normal(base.loc[:, inside], base.scale[:, inside], validate_args=False), 1)


def effective_number(weights: np.ndarray) -> float:
    r""":math:`\exp(-\sum_k w_k \log w_k)`: as many components of equal weight have the same entropy."""
    positive = weights[weights > 0]
    return float(np.exp(-(positive * np.log(positive)).sum()))


def batch_evenness(mass: np.ndarray, batch: np.ndarray) -> np.ndarray:
    r"""How evenly each component draws from the batches, 0 (one batch alone) to 1 (as the data do), ``(K,)``.

    :math:`H(s) / \log B` with :math:`s_b \propto r_{kb} / n_b`, the share of batch b's cells that the component has;
    so batches of different size weigh the same. NaN with a single batch or a component without cells. ``mass`` holds
    responsibilities, ``(n_cells, K)``.
    """
    names, codes, sizes = np.unique(batch, return_inverse=True, return_counts=True)
    share = np.stack([mass[codes == b].sum(axis=0) for b in range(len(names))]) / sizes[:, None]
    total = share.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = share / total
        entropy = -np.where(share > 0, share * np.log(share), 0.0).sum(axis=0) / np.log(len(names))
    return np.where((total > 0) & (len(names) > 1), entropy, np.nan)


def top_features(
    rates: np.ndarray, cells: np.ndarray, names: Sequence[str] | np.ndarray, *, n_features: int, is_real: bool
) -> list[str]:
    """The features in which each component's rates, ``(K, G)``, exceed the others' average the most, in K times words.

    By :func:`gains`. At most ``n_features`` are named, none below the average, and none of a single component or of one
    without cells.
    """
    words = []
    for gain, n_cells in zip(gains(rates, cells, is_real=is_real), cells, strict=True):
        order = np.argsort(-gain, kind="stable")[: n_features * (n_cells >= MIN_CELLS)]
        words.append(", ".join(str(names[g]) for g in order if gain[g] > 0))
    return words
