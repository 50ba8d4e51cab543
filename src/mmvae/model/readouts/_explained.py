"""How much of the values the model explains: by modality, feature and dimension. C cells, G_m features, U fused dimensions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from scvi import REGISTRY_KEYS
from torch import Tensor

from mmvae._checks import COUNT, check_numbers
from mmvae.analysis import MeanModel, explained, unit_deviance
from mmvae.likelihoods import Emission, Likelihood
from mmvae.model._data import Data, DataAccess, Indices
from mmvae.model._reader import Reader, states_of
from mmvae.module import Minibatch, MultiVAEModule
from mmvae.nn import dense
from mmvae.train import seeded

from ._effects import cells_at_a_time, fused_names, some_cells
from ._posteriors import fused_mean

ALL, MIN_HELD_OUT, MEAN_CELLS = "all", 20, 2_000


class ExplainedMethods(DataAccess):
    """How much the model explains."""

    def get_deviance_explained(
        self, adata: Data | None = None, indices: Indices | None = None, *, n_cells: int = 1_000
    ) -> pd.DataFrame:
        r"""Share of each modality's deviance that the latent explains, all of it and each dimension.

        .. math:: R^2_m = 1 - \frac{\sum_{ig} D(x_{ig}, \mu_{ig})}{\sum_{ig} D(x_{ig}, \bar\mu_{ig})}

        with :math:`\mu` the expected values at the mean of a cell's latent, :math:`\bar\mu` those of the mean model, each
        feature's mean over 2,000 training cells of the batch times the cell's depth (over the cells themselves where the
        data are not those of the training), and D the deviance of the likelihood :cite:p:`McCullagh1989`: of negative
        binomials (with the dispersions of the model), Poisson, Bernoulli, or squares. 1 is out of reach for counts: of the
        deviance of few counts most is their noise. Below 0 the mean is the better guess.

        Parameters
        ----------
        adata, indices
            As in :meth:`get_latent_representation`; by default cells that were held out in training, as in
            :meth:`diagnose`.
        n_cells
            Cells to use at most, at random, always the same ones.

        Returns
        -------
        DataFrame by modality: the row ``"all"``; then for each dimension of what the decoders read, named as in
        :meth:`get_loadings`, the share that is lost where it is held at its mean. These do not add up to all, as dimensions
        may tell the same, or matter together. NaN for a modality that is the same in all these cells.
        """
        check_numbers({"n_cells": COUNT}, n_cells=n_cells)
        reader = Reader(self)
        if adata is None and indices is None:
            indices, _ = held_out(reader)
        found = deviances(reader, adata, some_cells(reader, adata, indices, n_cells), by_dimension=True)
        shares = {name: [own.share(), *own.lost()] for name, own in found.items()}
        return pd.DataFrame(shares, index=[ALL, *fused_names(self.module.fusion)])


@dataclass
class Deviances:
    """Of a modality's features under the mean model and the model, ``(G_m,)``, and of all of them without each dimension."""

    of_mean: Tensor
    of_model: Tensor
    without: Tensor

    @classmethod
    def none(cls, n_features: int, n_dimensions: int) -> Self:
        """Of no cells."""
        features, dimensions = (torch.zeros(n, dtype=torch.float64) for n in (n_features, n_dimensions))
        return cls(features, features.clone(), dimensions)

    def by_feature(self) -> np.ndarray:
        """Share that is explained of each feature; NaN of one that is the same in all cells."""
        return explained(self.of_model, self.of_mean).numpy()

    def share(self) -> float:
        """Share that is explained of all features together."""
        return float(explained(self.of_model.sum(), self.of_mean.sum()))

    def lost(self) -> np.ndarray:
        """Share that is lost without each dimension; NaN where all features are the same in all cells."""
        of_mean = self.of_mean.sum()
        return (explained(self.of_model.sum(), of_mean) - explained(self.without, of_mean)).numpy()


@dataclass(frozen=True)
class Averages:
    """Means of each modality's features by batch, ``(n_batch, G_m)``, and of what the decoders read, ``(U,)``."""

    features: Mapping[str, Tensor]
    fused: Tensor


def nothing_known(module: MultiVAEModule, n_dimensions: int) -> dict[str, Deviances]:
    """Deviances of no cells, by modality, of which no share is explained or not: NaN."""
    return {name: Deviances.none(own.n_features, n_dimensions) for name, own in module.likelihoods.items()}


def held_out(reader: Reader) -> tuple[np.ndarray, bool]:
    """Cells that were not trained on, to test or else to validate on; all, and ``False``, where there are too few."""
    if reader.has_training_data:
        for cells in (reader.model.test_indices_, reader.model.validation_indices_):
            if cells is not None and len(cells) >= MIN_HELD_OUT:
                return np.sort(cells), True
    return np.arange(reader.data().n_obs), False


@torch.inference_mode()
def deviances(reader: Reader, adata: Data | None, cells: np.ndarray, *, by_dimension: bool) -> dict[str, Deviances]:
    """Of each modality's features over cells."""
    module, n_dimensions = reader.module, reader.module.fusion.n_output if by_dimension else 0
    found = nothing_known(module, n_dimensions)
    size = cells_at_a_time(max(own.n_features for own in module.likelihoods.values()))
    averages = _averages(reader, adata, cells, size)
    for minibatch, posteriors in reader.posteriors(adata, cells, size):
        fused, means = fused_mean(module.fusion, posteriors), _by_mean(reader, minibatch, averages)
        for name, emission in _emissions(reader, minibatch, fused).items():
            found[name].of_mean += _deviance(reader, minibatch, name, emission, means[name])
            found[name].of_model += _deviance(reader, minibatch, name, emission)
        for dimension in range(n_dimensions):
            held = fused.clone()
            held[:, dimension] = averages.fused[dimension]
            for name, emission in _emissions(reader, minibatch, held).items():
                found[name].without[dimension] += _deviance(reader, minibatch, name, emission).sum()
    return found


def _averages(reader: Reader, adata: Data | None, cells: np.ndarray, size: int) -> Averages:
    """Of training cells, or else of ``cells``."""
    if reader.model.adata is not None and reader.has_training_data:
        adata, cells = None, reader.training_cells(MEAN_CELLS)
    n_batch = len(states_of(reader.model.registry_)[REGISTRY_KEYS.BATCH_KEY]["categorical_mapping"])
    means = {name: MeanModel(n_batch, k.n_features) for name, k in reader.module.likelihoods.items()}
    total = torch.zeros((), device=reader.module.device)
    for minibatch, posteriors in reader.posteriors(adata, cells, size):
        total = total + fused_mean(reader.module.fusion, posteriors).sum(dim=0)
        for name, model in means.items():
            exposure = _exposure(reader.module.likelihoods[name], minibatch.size_factors[name])
            model.add(dense(minibatch.values[name]), exposure, minibatch.covariates_of(name).batch)
    return Averages({name: model.means().to(total) for name, model in means.items()}, total / len(cells))


def _exposure(likelihood: Likelihood, size_factor: Tensor) -> Tensor:
    """What expected values grow with, ``(n_m, 1)``."""
    return size_factor if likelihood.relative else torch.ones_like(size_factor)


def _by_mean(reader: Reader, minibatch: Minibatch, averages: Averages) -> dict[str, Tensor]:
    """What the mean model expects of each modality in the cells that have it, ``(n_m, G_m)``."""
    found = {}
    for name, means in averages.features.items():
        likelihood, factor = reader.module.likelihoods[name], minibatch.size_factors[name]
        expected = means[minibatch.covariates_of(name).batch.squeeze(1).long()]
        if likelihood.values == "binary":  # as in the likelihood, depth changes the odds
            odds = expected / (1 - expected).clamp_min(1e-6) * (factor / likelihood.size_factor)
            found[name] = odds / (1 + odds)
        else:
            found[name] = expected * _exposure(likelihood, factor)
    return found


def _emissions(reader: Reader, minibatch: Minibatch, fused: Tensor) -> dict[str, Emission]:
    """How the decoders explain the cells; latents that a likelihood has of its own are drawn the same each time."""
    with seeded(0):
        return reader.module.decode(fused, minibatch)


def _deviance(
    reader: Reader, minibatch: Minibatch, name: str, emission: Emission, mean: Tensor | None = None
) -> Tensor:
    """Deviance of each feature over a minibatch's cells, ``(G_m,)``, from the emission's mean or another."""
    p: Any = emission.distribution
    theta = getattr(p, "theta", getattr(p, "theta1", None))
    kind, values = reader.module.likelihoods[name].values, dense(minibatch.values[name])
    found = unit_deviance(kind, values, p.mean if mean is None else mean, theta)
    return found.sum(dim=0, dtype=torch.float64).cpu()
