"""Correlation of modalities over the cells that have both, and what chance gives. A stratum is a pattern and group."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Self

import numpy as np

N_PERMUTATIONS = 30
# Standard deviations above the mean of what chance gives.
CERTAINTY = 3.0
RIDGE = 1e-3
# Standard deviation of means up to which a dimension has collapsed: a twentieth of the sharpest posterior's.
COLLAPSED = 1e-3


@dataclass(frozen=True)
class Pair:
    """Two modalities on the cells that have both.

    ``degrees`` is the number of these cells less that of their strata; ``left`` and ``right`` whiten the modalities on
    them, ``(D_a, D_a)`` and ``(D_b, D_b)``.
    """

    degrees: int
    left: np.ndarray
    right: np.ndarray


@dataclass(frozen=True)
class CentredLatents:
    """Latents side by side, centred within strata.

    ``values`` is ``(C, D)``, 0 where a cell lacks the modality; ``presence`` is ``(C, M)``; ``strata`` holds codes,
    ascending, ``(C,)``; ``blocks`` are the modalities' columns.
    """

    values: np.ndarray
    presence: np.ndarray
    strata: np.ndarray
    blocks: tuple[slice, ...]

    @classmethod
    def of(cls, latents: Mapping[str, np.ndarray], presence: np.ndarray, groups: np.ndarray | None) -> Self:
        """Centre ``latents``, each ``(n_cells, D_m)``, within missing patterns and ``groups``, ``(n_cells,)``."""
        groups = np.zeros(len(presence), dtype=int) if groups is None else groups
        strata = np.unique(np.column_stack([presence, groups]), axis=0, return_inverse=True)[1].ravel()
        order = np.argsort(strata, kind="stable")
        strata, presence = strata[order], presence[order]
        values = [np.where(has[:, None], z[order], 0.0) for z, has in zip(latents.values(), presence.T, strict=True)]
        together = np.concatenate(values, axis=1)
        starts = np.flatnonzero(np.r_[True, np.diff(strata) > 0])
        means = np.add.reduceat(together, starts, axis=0) / np.bincount(strata)[:, None]
        ends = np.cumsum([z.shape[1] for z in values])
        blocks = tuple(slice(end - z.shape[1], end) for end, z in zip(ends, values, strict=True))
        return cls(together - means[strata], presence, strata, blocks)

    def degrees(self, cells: np.ndarray) -> int:
        """Number of cells less that of their strata."""
        return int(cells.sum()) - len(np.unique(self.strata[cells]))

    def whitening(self, modality: int, cells: np.ndarray) -> np.ndarray:
        """Symmetric whitening of a modality on cells, ``(D_m, D_m)``; dimensions that have collapsed are 0 afterwards."""
        values = self.values[cells, self.blocks[modality]]
        roots, vectors = np.linalg.eigh(values.T @ values / max(self.degrees(cells), 1))
        # The ridge keeps dimensions that the posterior hardly uses from being blown up.
        scale = np.where(roots > COLLAPSED**2, np.sqrt(np.abs(roots) + RIDGE * roots.max()), np.inf)
        return vectors / scale @ vectors.T

    def pairs(self) -> dict[tuple[int, int], Pair]:
        """Pairs of modalities with more degrees of freedom than dimensions."""
        found = {}
        for a, b in combinations(range(len(self.blocks)), 2):
            both = self.presence[:, a] & self.presence[:, b]
            widths = [self.blocks[m].stop - self.blocks[m].start for m in (a, b)]
            if (degrees := self.degrees(both)) > sum(widths):
                found[a, b] = Pair(degrees, self.whitening(a, both), self.whitening(b, both))
        return found

    def correlations(self, pairs: Mapping[tuple[int, int], Pair]) -> dict[tuple[int, int], np.ndarray]:
        """Block of each pair, ``(D_a, D_b)``, singular values at most 1."""
        products = self.values.T @ self.values
        return {
            (a, b): pair.left @ products[self.blocks[a], self.blocks[b]] @ pair.right / pair.degrees
            for (a, b), pair in pairs.items()
        }

    def permuted(self, generator: np.random.Generator) -> Self:
        """The cells of each modality shuffled within strata."""
        values = self.values.copy()
        for block in self.blocks[1:]:
            values[:, block] = values[np.argsort(self.strata + generator.random(len(values))), block]
        return replace(self, values=values)

    def jointly_profiled(self) -> Self:
        """Without cells of a single modality."""
        several = self.presence.sum(axis=1) > 1
        return replace(self, values=self.values[several], presence=self.presence[several], strata=self.strata[several])


def evidence(latents: CentredLatents, pairs: Mapping[tuple[int, int], Pair]) -> np.ndarray:
    """Blocks of all pairs, each times the root of its degrees of freedom relative to the largest, ``(D, D)``.

    So chance is as large in one block as in another. 0 within modalities.
    """
    most = max(pair.degrees for pair in pairs.values())
    matrix = np.zeros((latents.values.shape[1],) * 2)
    for (a, b), block in latents.correlations(pairs).items():
        weighted = block * np.sqrt(pairs[a, b].degrees / most)
        matrix[latents.blocks[a], latents.blocks[b]] = weighted
        matrix[latents.blocks[b], latents.blocks[a]] = weighted.T
    return matrix


def chance(latents: CentredLatents, pairs: Mapping[tuple[int, int], Pair]) -> float:
    """What the largest eigenvalue of :func:`evidence` hardly exceeds where modalities are independent.

    Parallel analysis :cite:p:`Horn1965`: three standard deviations above the mean of 30 permutations of cells within
    strata, both of Fisher's z of the eigenvalue relative to the largest possible, which is M - 1.
    """
    generator, largest = np.random.default_rng(0), len(latents.blocks) - 1
    roots = [np.linalg.eigvalsh(evidence(latents.permuted(generator), pairs))[-1] for _ in range(N_PERMUTATIONS)]
    z = np.arctanh(np.clip(np.divide(roots, largest), 0, 1 - 1e-9))
    return largest * float(np.tanh(z.mean() + CERTAINTY * z.std(ddof=1)))
