r"""Deviance, twice the nats by which a model falls short of one that fits each value exactly. C cells, G features."""

import torch
from torch import Tensor

# Cells of the average profile that are added to those of each batch, so that few cells do not make a profile of their own.
POOLED_CELLS = 20
SMALLEST = 1e-8
# Nats over all cells below which there is nothing to explain, as of a feature that none of them has.
NOTHING = 1e-3


def poisson_deviance(values: Tensor, mean: Tensor) -> Tensor:
    r""":math:`2 (x \log \frac{x}{\mu} - x + \mu)`, ``(C, G)`` :cite:p:`McCullagh1989`."""
    mean = mean.clamp_min(SMALLEST)
    return 2 * (torch.xlogy(values, values / mean) - values + mean)


def negative_binomial_deviance(values: Tensor, mean: Tensor, theta: Tensor) -> Tensor:
    r""":math:`2 (x \log \frac{x}{\mu} - (x + \theta) \log \frac{x + \theta}{\mu + \theta})`, ``(C, G)`` :cite:p:`McCullagh1989`."""
    mean = mean.clamp_min(SMALLEST)
    return 2 * (torch.xlogy(values, values / mean) - (values + theta) * ((values + theta) / (mean + theta)).log())


def bernoulli_deviance(values: Tensor, mean: Tensor) -> Tensor:
    r""":math:`-2 (x \log p + (1 - x) \log (1 - p))`, ``(C, G)`` :cite:p:`McCullagh1989`."""
    mean = mean.clamp(SMALLEST, 1 - 1e-6)
    return -2 * (torch.xlogy(values, mean) + torch.xlogy(1 - values, 1 - mean))


def gaussian_deviance(values: Tensor, mean: Tensor) -> Tensor:
    r""":math:`(x - \mu)^2`, of variance 1, ``(C, G)`` :cite:p:`McCullagh1989`."""
    return (values - mean).square()


def unit_deviance(kind: str, values: Tensor, mean: Tensor, theta: Tensor | None = None) -> Tensor:
    """Deviance of each value, ``(C, G)``, of counts (with inverse dispersions ``theta`` if any), binary or other values."""
    if kind == "binary":
        return bernoulli_deviance(values, mean)
    if kind != "counts":
        return gaussian_deviance(values, mean)
    return poisson_deviance(values, mean) if theta is None else negative_binomial_deviance(values, mean, theta)


class MeanModel:
    """Each feature's mean in each batch, per unit of a cell's exposure, from cells that are added in pieces."""

    def __init__(self, n_batch: int, n_features: int) -> None:
        self.totals = torch.zeros(n_batch, n_features, dtype=torch.float64)
        self.exposures = torch.zeros(n_batch, 1, dtype=torch.float64)
        self.n_cells = 0

    def add(self, values: Tensor, exposure: Tensor, batch: Tensor) -> None:
        """Take cells with ``values``, ``(C, G)``; exposure and codes of batches are ``(C, 1)``."""
        codes = batch.squeeze(1).long().cpu()
        self.totals.index_add_(0, codes, values.double().cpu())
        self.exposures.index_add_(0, codes, exposure.double().cpu())
        self.n_cells += len(values)

    def means(self) -> Tensor:
        """By batch and feature, ``(n_batch, G)``; those of a batch of few cells are drawn to those of all."""
        share = POOLED_CELLS / max(self.n_cells, 1)
        totals = self.totals + share * self.totals.sum(dim=0)
        return (totals / (self.exposures + share * self.exposures.sum(dim=0)).clamp_min(SMALLEST)).float()


def explained(deviance: Tensor, of_mean: Tensor) -> Tensor:
    """Share of the mean model's deviance that is gone; NaN where that has next to none."""
    return torch.where(of_mean > NOTHING, 1 - deviance / of_mean, torch.nan)
