"""What the model and the measured values say of groups of cells. C cells, G features, R samples, K groups."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import elu

from mmvae.data import presence_of, some_of
from mmvae.model._data import Data
from mmvae.model._reader import Reader
from mmvae.module import Minibatch
from mmvae.nn import Covariates, SparseRows, totals

# Cells that stand for a larger group, and draws of posteriors for one.
MOST_CELLS, FEWEST_DRAWS, MOST_DRAWS = 5_000, 2, 25

# Counts of a cell that raw means are of, as in scvi-tools.
PER_CELL = 1e4


class Rates:
    """Expected values free of depth.

    ``depth`` counts of a cell belong to a value of 1; ``shown`` brings values to a scale on which expressed is far above 1;
    ``unit`` is what differences are in where there are no fold changes.
    """

    def __init__(self, reader: Reader, modality: str) -> None:
        self.module, self.modality = reader.module, modality
        self.likelihood = reader.module.likelihoods[modality]
        self.n_features, self.is_positive = self.likelihood.n_features, self.likelihood.values != "real"
        is_share = self.likelihood.relative
        self.depth, self.shown = (float(self.likelihood.size_factor), PER_CELL) if is_share else (1.0, 1.0)
        sd = getattr(self.likelihood, "sd", None)
        self.unit: np.ndarray | float = 1.0 if sd is None else sd.cpu().numpy()

    def expected(self, fused: Tensor, covariates: Covariates) -> Tensor:
        """Of cells, whether they have the modality or not, ``(n_cells, G)``."""
        return self.module.rates(self.modality, fused, covariates)

    def measured(self, minibatch: Minibatch) -> Tensor | SparseRows:
        """What the cells that have the modality show of the same, ``(n_m, G)``."""
        values = minibatch.values[self.modality]
        return _divided(values, minibatch.size_factors[self.modality]) if self.likelihood.relative else values


class Detection(Rates):
    """Probabilities that a feature is seen in a cell of median depth."""

    def __init__(self, reader: Reader, modality: str) -> None:
        super().__init__(reader, modality)
        self.depth = self.shown = 1.0

    def expected(self, fused: Tensor, covariates: Covariates) -> Tensor:
        """Of cells with these latents, ``(n_cells, G)``."""
        hidden = self.module.decoders[self.modality](fused, covariates)
        depth = self.likelihood.size_factor.expand(len(fused), 1)
        return self.likelihood.detection(hidden, depth, covariates.batch)

    def measured(self, minibatch: Minibatch) -> Tensor | SparseRows:
        """Whether each feature was seen, 0 or 1, ``(n_m, G)``."""
        return _each(minibatch.values[self.modality], _is_seen)


class GroupSampler:
    """Samples of the mean of a group, or of single cells, in the place of scvi-tools' ``model_fn``, ``(R, G)`` each."""

    def __init__(self, reader: Reader, data: Data, quantity: Rates, batch_size: int | None) -> None:
        self.reader, self.data, self.quantity, self.batch_size = reader, data, quantity, batch_size
        self.features = reader.features(quantity.modality)
        self._known: tuple[Any, Tensor, Tensor] = None, torch.empty(0), torch.empty(0)

    def means(self, cells: np.ndarray, transform_batch: str | None, n_samples: int) -> np.ndarray:
        """Of the mean of cells: the model's, at draws of the posteriors, with the error of a mean of what was measured.

        The draws alone know nothing of the noise of counts that the decoder's weights have learnt.
        """
        cells = _some(cells)
        model = self._model_means(cells, transform_batch, n_samples)
        error = self._errors(cells, transform_batch, n_samples)
        if not self.quantity.is_positive:
            return (model + error).cpu().numpy()
        # A mean that is positive stays so: to first order the sum.
        relative = error / model.clamp_min(torch.finfo(model.dtype).tiny)
        return (model * (1.0 + elu(relative))).cpu().numpy()

    def cells(self, cells: np.ndarray, transform_batch: str | None, n_samples: int) -> np.ndarray:
        """Of cells drawn at random, each at a draw of its posterior."""
        chosen = np.sort(np.random.choice(cells, n_samples))
        blocks = [next(self._draws(m, transform_batch, 1)).cpu() for m in self._minibatches(chosen)]
        return torch.cat(blocks)[torch.randperm(n_samples)].numpy()

    @torch.inference_mode()
    def _model_means(self, cells: np.ndarray, batch: str | None, n_samples: int) -> Tensor:
        n_draws = min(max(MOST_CELLS // len(cells), FEWEST_DRAWS), MOST_DRAWS, n_samples)
        total: Any = 0
        for minibatch in self._minibatches(cells):
            total = total + torch.stack([draw.sum(dim=0) for draw in self._draws(minibatch, batch, n_draws)])
        return (total / len(cells))[torch.arange(n_samples) % n_draws]

    @torch.inference_mode()
    def _errors(self, cells: np.ndarray, batch: str | None, n_samples: int) -> Tensor:
        """Of the mean of what was measured, and of what is expected of cells that lack it, by the Bayesian bootstrap, ``(R, G)``."""
        has = presence_of(self.data, [self.quantity.modality])[cells, 0]
        key = cells.tobytes(), n_samples  # what was measured is the same in all batches
        if self._known[0] != key:
            weights = torch.distributions.Exponential(1.0).sample((len(cells), n_samples)).to(self.reader.module.device)
            weights = weights / weights.sum(dim=0) - 1 / len(cells)
            of_measured = self._weighted(cells[has], weights[has], self.quantity.measured)
            self._known = key, of_measured, weights[~has]
        _, of_measured, weights = self._known
        if has.all():
            return of_measured.T
        return (of_measured + self._weighted(cells[~has], weights, lambda m: next(self._draws(m, batch, 1)))).T

    def _weighted(
        self, cells: np.ndarray, weights: Tensor, values: Callable[[Minibatch], Tensor | SparseRows]
    ) -> Tensor:
        """Sums of the values of cells, weighted by ``weights``, ``(n_cells, R)``: ``(G, R)``."""
        total = weights.new_zeros(self.quantity.n_features, weights.shape[1])
        for start, minibatch in _with_start(self._minibatches(cells) if len(cells) else iter(())):
            total += product(values(minibatch), weights[start : start + len(minibatch)])
        return total

    @torch.inference_mode()
    def _draws(self, minibatch: Minibatch, batch: str | None, n_draws: int) -> Iterator[Tensor]:
        fusion, posteriors = self.reader.module.fusion, self.reader.module.encode(minibatch)
        (code,) = self.reader.batch_codes(batch)
        covariates = minibatch.in_batch(code).covariates
        for _ in range(n_draws):
            yield self.quantity.expected(fusion.fuse(fusion.draw(posteriors).latent, posteriors), covariates)

    def _minibatches(self, cells: np.ndarray) -> Iterator[Minibatch]:
        return self.reader.minibatches(self.data, cells, self.batch_size)


class MeasuredSums:
    """Statistics of the measured values of groups, from one pass over the cells, ``codes``, ``(C,)``, being their groups'."""

    def __init__(self, sampler: GroupSampler, cells: np.ndarray, codes: np.ndarray) -> None:
        self.quantity, self.n_groups = sampler.quantity, int(codes.max()) + 1
        name, one_hot = self.quantity.modality, torch.eye(self.n_groups, device=sampler.reader.module.device)
        self.counts: Any = 0
        self.sums: dict[str, Any] = dict.fromkeys(_statistics(self.quantity), 0)
        for start, minibatch in _with_start(sampler._minibatches(cells)):
            own = one_hot[torch.as_tensor(codes[start : start + len(minibatch)])][minibatch.rows[name]]
            self.counts = self.counts + own.sum(dim=0).cpu().numpy()
            for key, statistic in _statistics(self.quantity).items():
                self.sums[key] = self.sums[key] + product(statistic(minibatch.values[name]), own).double().cpu().numpy()

    def of(self, codes: np.ndarray) -> dict[str, np.ndarray]:
        """Means of each statistic over the measured cells of some groups, ``(G,)``; NaN where there are none."""
        n_cells = self.counts[codes].sum()
        with np.errstate(invalid="ignore"):
            return {key: total[:, codes].sum(axis=1) / n_cells for key, total in self.sums.items()}


def product(values: Tensor | SparseRows, weights: Tensor) -> Tensor:
    """Weighted sums over rows: the transposed ``values``, ``(n_rows, G)``, times ``weights``, ``(n_rows, R)``."""
    return values.transposed_product(weights) if isinstance(values, SparseRows) else values.T @ weights


def _statistics(quantity: Rates) -> dict[str, Callable[[Any], Tensor | SparseRows]]:
    """scvi-tools' statistics of counts, by the names of its columns."""
    if not quantity.is_positive:
        return {"raw_mean": lambda values: values}
    return {
        "raw_mean": lambda values: values,
        "non_zeros_proportion": lambda values: _each(values, _is_seen),
        "raw_normalized_mean": lambda values: _divided(values, totals(values) / PER_CELL),
    }


def _divided(values: Tensor | SparseRows, by: Tensor) -> Tensor | SparseRows:
    if isinstance(values, SparseRows):
        return replace(values, values=values.values / values.of_rows(by.squeeze(1)))
    return values / by


def _each(values: Tensor | SparseRows, function: Callable[[Tensor], Tensor]) -> Tensor | SparseRows:
    return values.apply(function) if isinstance(values, SparseRows) else function(values)


def _is_seen(values: Tensor) -> Tensor:
    return (values > 0).to(values.dtype)


def _some(cells: np.ndarray) -> np.ndarray:
    if len(cells) <= MOST_CELLS:
        return cells
    return some_of(cells, MOST_CELLS)


def _with_start(minibatches: Iterator[Minibatch]) -> Iterator[tuple[int, Minibatch]]:
    """Minibatches with the place of their first cell."""
    start = 0
    for minibatch in minibatches:
        yield start, minibatch
        start += len(minibatch)
