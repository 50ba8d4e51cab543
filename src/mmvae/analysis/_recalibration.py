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
        edges = np.unique(np.quantile(expected, np.linspace(0, 1, N_GROUPS + 1)[1:-1])) if n_cells else np.zeros(0)
        even, trust = np.linspace(0, 1, N_LEVELS), n_cells / (n_cells + DRAWS_COUNT_FOR)
        group = np.searchsorted(edges, expected)
        own = [places[group == k] for k in range(len(edges) + 1)]
        found = np.array([np.quantile(part, even) if len(part) else even for part in own])
        return cls(edges, trust * found + (1 - trust) * even)

    def at(self, expected: np.ndarray, level: float) -> np.ndarray:
        """Levels of the draws at which values are below in a share ``level``, in the shape of ``expected``."""
        even = np.linspace(0, 1, self.levels.shape[1])
        by_group = np.array([np.interp(level, even, own) for own in self.levels])
        return by_group[np.searchsorted(self.edges, expected)]


def between(ordered: np.ndarray, lower: np.ndarray | float, upper: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
    """Of draws in order, ``(..., S)``, those at two levels, rounded outwards, as a conformal interval has them."""
    n_draws = ordered.shape[-1]
    first = np.floor(np.asarray(lower) * (n_draws + 1)) - 1
    last = np.ceil(np.asarray(upper) * (n_draws + 1)) - 1
    shape = ordered.shape[:-1]
    low, high = (
        np.take_along_axis(ordered, np.broadcast_to(place, shape)[..., None].clip(0, n_draws - 1).astype(int), axis=-1)
        for place in (first, last)
    )
    return low[..., 0], high[..., 0]
