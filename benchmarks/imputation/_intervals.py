"""What mmvae says beyond expected values: intervals, and the probability of what was measured.

The part of this benchmark that looks inside a model. C held-out cells, G features.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from mmvae.analysis import places
from mmvae.model._reader import Reader
from mmvae.model.readouts._calibration import calibration
from mmvae.model.readouts._decoding import Request, fused_draws
from mmvae.model.readouts._draws import Hidden, block, drawn

if TYPE_CHECKING:
    from mmvae import MultiVAE

    from ._task import Task

INTERVAL, N_SAMPLES, N_DRAWS, MOST_CELLS = 0.9, 50, 32, 500


def scores(model: MultiVAE, task: Task) -> dict[str, float]:
    """``coverage`` of counts by the 90% interval, ends included; ``central``, the same with ties at the ends by lot.

    ``below`` and ``above`` are what is outside; ``width`` is the intervals' mean width over that of each feature's
    central 90% in the cells that have the target; ``nll_own`` is the negative log predictive probability of each value
    at the known total, summed over features, in nats per cell; ``rates`` the coverage of true expected values, of simulated
    cells, by the 90% interval of these. Of 500 held-out cells at the most.
    """
    rows = np.flatnonzero(task.held)[:MOST_CELLS]
    chosen = np.isin(np.arange(len(task.held)), rows)
    values = task.counts(chosen).values.toarray()
    found = model.impute(task.target, indices=rows, interval=INTERVAL, n_samples=N_SAMPLES)
    low, high = found.lower_count.to_numpy(), found.upper_count.to_numpy()
    marginal = np.quantile(task.counts(~task.held).values.toarray(), (0.05, 0.95), axis=0)
    inside = _inside(model, task, rows, values)
    if task.rates is not None:
        truth, lower, upper = task.rates[rows], found.lower.to_numpy(), found.upper.to_numpy()
        inside["rates"] = float(((truth >= lower) & (truth <= upper)).mean())
    return {
        "coverage": float(((values >= low) & (values <= high)).mean()),
        "below": float((values < low).mean()),
        "above": float((values > high).mean()),
        "width": float((high - low).mean() / np.diff(marginal, axis=0).mean()),
    } | inside


@torch.inference_mode()
def _inside(model: MultiVAE, task: Task, rows: np.ndarray, values: np.ndarray) -> dict[str, float]:
    reader, name, generator = Reader(model), task.target, np.random.default_rng(task.seed)
    request, known = Request(reader, name, n_samples=N_SAMPLES), calibration(reader, name)
    hidden, start, central, nll = Hidden(reader, reader.data(), rows, [name]), 0, [], []
    tails = (1 - INTERVAL) / 2, (1 + INTERVAL) / 2
    for _, seen in hidden.minibatches(block(request)):
        own = values[start : start + len(seen)]
        draws = drawn(reader, seen, request, known.depth.totals)
        low, high = (known.counts.at(draws.mean, tail) for tail in tails)
        found = places(draws.counts, own, generator)
        central.append((found > low) & (found < high))
        total = torch.as_tensor(own.sum(axis=1, keepdims=True)).clamp_min(1.0)
        nll.append(_nll(reader, seen, name, torch.as_tensor(own), total))
        start += len(seen)
    return {"central": float(np.concatenate(central).mean()), "nll_own": float(np.concatenate(nll).mean())}


def _nll(reader: Reader, seen: object, name: str, values: torch.Tensor, total: torch.Tensor) -> np.ndarray:
    module, logs = reader.module, torch.full(values.shape, -torch.inf)
    covariates = seen.covariates  # type: ignore[attr-defined]
    for fused in fused_draws(reader, seen, Request(reader, name, n_samples=N_DRAWS)):  # type: ignore[arg-type]
        emission = module.likelihoods[name](module.decoders[name](fused, covariates), total, covariates.batch)
        logs = torch.logaddexp(logs, emission.distribution.log_prob(values))
    return np.asarray(-(logs - np.log(N_DRAWS)).sum(dim=1))
