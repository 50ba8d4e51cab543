"""Where held-out values lie among draws that should be like them. N values, S draws, K groups, L levels."""

from dataclasses import dataclass
from typing import Self

import numpy as np

N_GROUPS, N_LEVELS = 8, 201
# What the draws say themselves counts for as much as so many held-out cells.
DRAWS_COUNT_FOR = 20


def places(draws: np.ndarray, values: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Place of each value among its draws, ``(..., S)``, from 0 to 1; even where the value is one of the draws.

    Values that equal draws, as counts do, have a place at random among these.
    """
    below, equal = (compare(draws, values[..., None]).sum(axis=-1) for compare in (np.less, np.equal))
    return (below + generator.random(values.shape) * (equal + 1)) / (draws.shape[-1] + 1)


@dataclass(frozen=True)
class Recalibration:
    """At which level of its draws a value's true level is, by groups of similar expected values :cite:p:`Kuleshov2018`.

    ``edges``, ``(K - 1,)``, part the expected values; ``levels``, ``(K, L)``, are those of the draws that held-out values
    were below as often as even steps from 0 to 1 say.
    """

    edges: np.ndarray
    levels: np.ndarray

    @classmethod
    def fit(cls, expected: np.ndarray, places: np.ndarray, n_cells: int) -> Self:
        """From the expected values and the places of values of ``n_cells`` held-out cells, both ``(N,)``."""
        edges = np.unique(np.quantile(expected, np.linspace(0, 1, N_GROUPS + 1)[1:-1]))
        even, trust = np.linspace(0, 1, N_LEVELS), n_cells / (n_cells + DRAWS_COUNT_FOR)
        group = np.searchsorted(edges, expected)
        own = [places[group == k] for k in range(len(edges) + 1)]
        found = np.array([np.quantile(part, even) if len(part) else even for part in own])
        return cls(edges, trust * found + (1 - trust) * even)

    @classmethod
    def even(cls) -> Self:
        """What changes nothing, where there are no held-out cells."""
        return cls(np.zeros(0), np.linspace(0, 1, N_LEVELS)[None])

    def at(self, expected: np.ndarray, level: float) -> np.ndarray:
        """Levels of the draws at which values are below in a share ``level``, in the shape of ``expected``."""
        even = np.linspace(0, 1, self.levels.shape[1])
        by_group = np.array([np.interp(level, even, own) for own in self.levels])
        return by_group[np.searchsorted(self.edges, expected)]


def spread_wanted(
    noise: np.ndarray, mean: np.ndarray, variance: np.ndarray, values: np.ndarray, *, n_draws: int
) -> float:
    """By which factor the standard deviation of expected values should be larger, from 1 on.

    By what squared errors of held-out values, ``(C, F)``, about the ``mean`` of their draws have beyond the noise of
    measurement: ``noise`` is the variance of draws of values, ``variance`` that of their expected values.
    """
    own = variance * n_draws / (n_draws - 1)
    excess = (values - mean) ** 2 - (noise - own) - own / n_draws
    weights = own / np.maximum(noise.mean(axis=0), 1e-12) ** 2
    ratio = float((weights * excess).sum() / max(float((weights * own).sum()), 1e-30))
    trust = len(values) / (len(values) + DRAWS_COUNT_FOR)
    return float(np.sqrt(max(1.0, trust * ratio + 1 - trust)))


def between(ordered: np.ndarray, lower: np.ndarray | float, upper: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
    """Of draws in order, ``(..., S)``, those at two levels, rounded outwards, as a conformal interval has them.

    What the lower end leaves unused of its share, as nothing is below a count of 0, the upper end has beside its own.
    """
    n = ordered.shape[-1] + 1
    low = _at(ordered, np.floor(np.asarray(lower) * n))
    unused = 1 - (ordered < low[..., None]).sum(axis=-1) / np.maximum(np.floor(np.asarray(lower) * n) - 1, 1)
    spared = np.clip(unused, 0, 1) * (1 - np.asarray(upper))
    return low, _at(ordered, np.ceil((np.asarray(upper) - spared) * n))


def _at(ordered: np.ndarray, rank: np.ndarray) -> np.ndarray:
    """The draws of these ranks, of which the first is 1, ``(...)``."""
    place = np.broadcast_to(rank - 1, ordered.shape[:-1]).clip(0, ordered.shape[-1] - 1).astype(int)
    return np.take_along_axis(ordered, place[..., None], axis=-1)[..., 0]
