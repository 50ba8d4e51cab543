"""All scores of what a method gave."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from benchmarks import inputs
from benchmarks.scores import embedding, mosaic, neighbours

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.methods.outcome import Outcome
    from benchmarks.tasks import Problem


def score(outcome: Outcome, problem: Problem) -> dict[str, dict[str, float]]:
    """Scores by the name of the readout and of the metric."""
    found = {}
    for name, readout in outcome.readouts.items():
        if isinstance(readout, neighbours.Neighbours):
            found[name] = _of_neighbours(readout, problem)
        else:
            found[name] = _of_embedding(readout, problem) | _of_single(outcome.single.get(name, {}))
    return found


def _of_neighbours(readout: neighbours.Neighbours, problem: Problem) -> dict[str, float]:
    labels, batch, known = _columns(problem)
    part = readout.among(known)
    scores = _of_types(lambda kept, types: neighbours.bio_conservation(readout.among(kept), types), problem)
    if batch is not None:
        scores |= {
            name: neighbours.batch_mixing(part, own[known], batch[known]) for name, own in _mixed_within(problem)
        }
        scores["ilisi"] = embedding.ilisi(readout.indices, readout.distances, batch)
    return scores


def _of_embedding(readout: np.ndarray, problem: Problem) -> dict[str, float]:
    labels, batch, known = _columns(problem)
    part, own = readout[known], labels[known]
    scores = _of_types(lambda kept, types: embedding.bio_conservation(readout[kept], types), problem)
    if batch is not None:
        scores |= {name: embedding.batch_mixing(part, own[known], batch[known]) for name, own in _mixed_within(problem)}
        scores["ilisi"] = embedding.ilisi(*embedding.nearest(readout), batch)
    if inputs.is_mosaic(problem.mdata):
        patterns = inputs.patterns(problem.mdata)[known]
        scores["pattern_mixing"] = embedding.batch_mixing(part, own, patterns)
        scores |= mosaic.transfer(part, own, patterns, "+".join(problem.mdata.mod))
    return scores


def _of_types(score: Callable[[np.ndarray, np.ndarray], dict[str, float]], problem: Problem) -> dict[str, float]:
    """The ``score`` of the cells whose type is known, marked, and their types; of finer types too, where there are any."""
    labels, _, known = _columns(problem)
    found, fine = score(known, labels[known]), problem.data_set.fine
    if fine is not None:
        labels = problem.mdata.obs[fine].astype(str).to_numpy()
        known = ~np.isin(labels, problem.data_set.unknown)
        found |= {f"{name}_fine": value for name, value in score(known, labels[known]).items()}
    return found


def _of_single(embeddings: dict[str, np.ndarray]) -> dict[str, float]:
    """Mean over the pairs of modalities."""
    pairs = [mosaic.foscttm(one, other) for one, other in combinations(embeddings.values(), 2)]
    return {"foscttm": float(np.mean(pairs))} if pairs else {}


def _mixed_within(problem: Problem) -> list[tuple[str, np.ndarray]]:
    """Labels within which batches should be mixed, by the name of the score.

    Within coarse labels full mixing is no aim where batches differ in the finer types that these hold.
    """
    wanted = {"batch_mixing": problem.data_set.labels, "batch_mixing_fine": problem.data_set.fine}
    obs = problem.mdata.obs
    return [(name, obs[column].astype(str).to_numpy()) for name, column in wanted.items() if column is not None]


def _columns(problem: Problem) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """Labels, batches, and whether the label is known."""
    obs, data_set = problem.mdata.obs, problem.data_set
    labels = obs[data_set.labels].astype(str).to_numpy()
    batch = None if data_set.batch is None else obs[data_set.batch].astype(str).to_numpy()
    return labels, batch, ~np.isin(labels, data_set.unknown)
