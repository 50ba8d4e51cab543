"""What a model says of a modality that it was not shown. C cells, G features, S draws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from benchmarks import inputs

from ._bounds import N_DRAWS
from ._model import is_relative, minibatches, withheld

if TYPE_CHECKING:
    from mudata import MuData

    from mmvae import MultiVAE
    from mmvae.module import Minibatch

    from ._split import Split

DEPTH = 1e4
INTERVAL = (0.05, 0.95)
SMALLEST_RATE = 1e-12


@dataclass(frozen=True)
class Prediction:
    """Mean of the predicted rates, ``(C, G)``, negative log-likelihood, ``(C,)``, and the cells' rows in the data.

    ``draws``, ``(S, C, G)``, are the single predictions; empty unless they were asked for.
    """

    rates: np.ndarray
    nll: np.ndarray
    rows: np.ndarray
    draws: np.ndarray


def imputation(model: MultiVAE, split: Split) -> dict[str, float]:
    """Scores of each modality of the held-out cells, predicted from their others, and their means.

    ``pearson``: correlation over cells, mean over features, of log rates with the true ones (simulation) or with
    log-normalised measurements. ``nll``: negative log of each measured value's predictive probability, summed over
    features, in nats per cell. ``coverage``: share of true log rates inside the 90% interval (simulation).
    """
    scores: dict[str, dict[str, float]] = {"pearson": {}, "nll": {}, "coverage": {}}
    for name in model.modalities:
        predicted = predict(model, split.held, name, keep=bool(split.truth))
        scores["nll"][name] = float(predicted.nll.mean())
        if split.truth:
            truth = np.log(split.truth[f"rate_{name}"][predicted.rows])
            scores["pearson"][name] = pearson(np.log(predicted.rates + SMALLEST_RATE), truth)
            scores["coverage"][name] = coverage(np.log(predicted.draws + SMALLEST_RATE), truth)
        else:
            scores["pearson"][name] = pearson(*_logged(model, split.held, name, predicted))
    found = {f"{metric}_{name}": v for metric, own in scores.items() for name, v in own.items()}
    return found | {metric: float(np.mean(list(own.values()))) for metric, own in scores.items() if own}


def predict(model: MultiVAE, mdata: MuData, name: str, *, keep: bool, n_draws: int = N_DRAWS) -> Prediction:
    """Predict a modality of the cells that have it and another, from the other; ``keep`` the single draws.

    Rates are those of the first batch, free of the cells' own batches.
    """
    present = inputs.presence(mdata)
    rows = np.flatnonzero(present[:, list(mdata.mod).index(name)] & (present.sum(axis=1) > 1))
    parts = [_predicted(model, minibatch, name, n_draws, keep) for minibatch in minibatches(model, mdata)]
    return Prediction(
        np.concatenate([rates for rates, _, _ in parts]),
        np.concatenate([nll for _, nll, _ in parts]),
        rows,
        np.concatenate([draws for _, _, draws in parts], axis=1),
    )


def pearson(first: np.ndarray, second: np.ndarray) -> float:
    """Correlation over cells, mean over the features that vary in the second; 0 for those that do not in the first."""
    one, two = first - first.mean(axis=0), second - second.mean(axis=0)
    norms = np.sqrt((one**2).sum(axis=0) * (two**2).sum(axis=0))
    varies = (two**2).sum(axis=0) > 0
    return float(np.mean((one * two).sum(axis=0)[varies] / np.maximum(norms[varies], SMALLEST_RATE)))


def coverage(draws: np.ndarray, truth: np.ndarray) -> float:
    """Share of the true log rates inside the central 90% of the draws, all taken about their features' means.

    About the means, since the truth has no batch effect and a decoder knows batches alone.
    """
    centred = draws - draws.mean(axis=(0, 1))
    low, high = np.quantile(centred, INTERVAL, axis=0)
    actual = truth - truth.mean(axis=0)
    return float(((actual >= low) & (actual <= high)).mean())


def _predicted(
    model: MultiVAE, minibatch: Minibatch, name: str, n_draws: int, keep: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    total, logs, draws = 0.0, torch.tensor(-torch.inf), []
    for value, rates in withheld(model, minibatch, name, n_draws):
        logs = torch.logaddexp(logs, value)
        total = total + rates / n_draws
        draws += [rates.numpy()] if keep else []
    nll = -(logs - np.log(n_draws)).sum(dim=1)
    return np.asarray(total), nll.numpy(), np.stack(draws) if keep else np.zeros((0, *total.shape))


def _logged(model: MultiVAE, mdata: MuData, name: str, predicted: Prediction) -> tuple[np.ndarray, np.ndarray]:
    """Predicted and measured values, log-normalised."""
    own = inputs.rows(mdata, name)[predicted.rows]
    values = mdata.mod[name].X[own]
    values = np.asarray(values.todense() if hasattr(values, "todense") else values)
    if not is_relative(model, name):
        return np.log1p(predicted.rates), np.log1p(values)
    totals = np.maximum(values.sum(axis=1, keepdims=True), 1)
    return np.log1p(DEPTH * predicted.rates), np.log1p(DEPTH * values / totals)
