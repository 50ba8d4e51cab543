"""What M modalities agree on: generalised canonical correlation of their latents, of D_m dimensions, D in all."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Self

import numpy as np
from scipy.linalg import block_diag

N_PERMUTATIONS = 30
# Standard deviations above the mean of what chance gives.
CERTAINTY = 3.0
RIDGE = 1e-3
# Standard deviation of means up to which a dimension has collapsed: a twentieth of the sharpest posterior's.
COLLAPSED = 1e-3
# Dimensions kept where none is shared, so that there is an embedding.
MIN_DIMENSIONS = 2


@dataclass(frozen=True)
class Pair:
    """Two modalities on the cells that have both: their degrees of freedom, and what whitens either, ``(D_m, D_m)``."""

    degrees: int
    left: np.ndarray
    right: np.ndarray


Pairs = Mapping[tuple[int, int], Pair]


@dataclass(frozen=True)
class CentredLatents:
    """Latents side by side, centred within strata, which are missing patterns and groups.

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
        ends = np.cumsum([z.shape[1] for z in latents.values()])
        blocks = tuple(slice(end - z.shape[1], end) for end, z in zip(ends, latents.values(), strict=True))
        values = np.zeros((len(order), ends[-1]))
        for block, z, has in zip(blocks, latents.values(), presence.T, strict=True):
            values[has, block] = z[order[has]]
        for stratum in np.split(values, np.flatnonzero(np.diff(strata)) + 1):
            stratum -= stratum.mean(axis=0)
        return cls(values, presence, strata, blocks)

    def degrees(self, cells: np.ndarray) -> int:
        """Number of cells less that of their strata."""
        return int(cells.sum()) - len(np.unique(self.strata[cells]))

    def whitening(self, modality: int, cells: np.ndarray) -> np.ndarray:
        """Symmetric whitening of a modality on cells, ``(D_m, D_m)``; dimensions that have collapsed become 0."""
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

    def correlations(self, pairs: Pairs) -> dict[tuple[int, int], np.ndarray]:
        """Block of each pair, ``(D_a, D_b)``, singular values at most 1."""
        products, blocks, found = self.values.T @ self.values, self.blocks, {}
        for (a, b), pair in pairs.items():
            found[a, b] = pair.left @ products[blocks[a], blocks[b]] @ pair.right / pair.degrees
        return found

    def permuted(self, generator: np.random.Generator) -> Self:
        """The cells of each modality shuffled within strata."""
        values = self.values.copy()
        for block in self.blocks[1:]:
            values[:, block] = values[np.argsort(self.strata + generator.random(len(values))), block]
        return replace(self, values=values)

    def jointly_profiled(self) -> Self:
        """Without cells of a single modality."""
        several = self.presence.sum(axis=1) > 1
        if several.all():
            return self
        return replace(self, values=self.values[several], presence=self.presence[several], strata=self.strata[several])


def evidence(latents: CentredLatents, pairs: Pairs) -> np.ndarray:
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


def chance(latents: CentredLatents, pairs: Pairs) -> float:
    """What the largest eigenvalue of :func:`evidence` hardly exceeds where modalities are independent.

    Parallel analysis :cite:p:`Horn1965`: three standard deviations above the mean of 30 permutations of cells within
    strata, both of Fisher's z of the eigenvalue relative to the largest possible, which is M - 1.
    """
    generator, largest = np.random.default_rng(0), len(latents.blocks) - 1
    roots = [np.linalg.eigvalsh(evidence(latents.permuted(generator), pairs))[-1] for _ in range(N_PERMUTATIONS)]
    z = np.arctanh(np.clip(np.divide(roots, largest), 0, 1 - 1e-9))
    return largest * float(np.tanh(z.mean() + CERTAINTY * z.std(ddof=1)))


@dataclass(frozen=True)
class SharedSubspace:
    r"""Directions that several modalities share, and each cell's expected place on them.

    **Correlation.** Two modalities are compared on the cells that have both: their latents are centred within each
    missing pattern and group, such as a batch, whitened and correlated. What differs between batches or assays is thus
    no agreement. The correlation matrix :math:`R` has these blocks, and the identity within a modality (MAXVAR
    generalised CCA). Where all M modalities correlate by :math:`\rho` in a direction, R has an eigenvalue
    :math:`1 + (M - 1) \rho`.

    **Test.** The fewer cells, the larger are correlations by chance. The block of a pair is multiplied by the root of
    its degrees of freedom, relative to the pair that has the most, so that chance is the same in all; where all pairs
    have the same cells, nothing changes. Shared are the eigenvalues in ``spectrum`` above ``threshold``, which the
    largest one exceeds in about one of a hundred fits if modalities are independent (see :func:`chance`). Of four or
    more modalities in a chain of pairs, a factor of all may count twice. Where none is shared, K is 2 all the same.

    **Place.** The blocks of R are projected onto the shared directions, and pairs of modalities without cells are
    bridged by a third one. That has leading eigenvectors V and eigenvalues :math:`\lambda`. Of a coordinate, the share
    :math:`\alpha = \frac{M}{M - 1} (1 - \frac{1}{\lambda})` of the variance is what the modalities have in common
    :cite:p:`Cronbach1951`, so a cell that has the modalities S is placed at
    :math:`\alpha V^\top R_{\cdot S} R_{SS}^{-1} \tilde z_S`, the expectation of that.

    ``mean`` and ``whitening`` are by modality; ``correlation`` is R, ``(D, D)``; ``directions`` is V, each column times
    its :math:`\alpha`, ``(D, K)``; ``spectrum`` holds all D eigenvalues, largest first.
    """

    mean: dict[str, np.ndarray]
    whitening: dict[str, np.ndarray]
    correlation: np.ndarray
    directions: np.ndarray
    spectrum: np.ndarray
    threshold: float

    @classmethod
    def fit(cls, latents: Mapping[str, np.ndarray], presence: np.ndarray, groups: np.ndarray | None = None) -> Self:
        """Fit on training cells: posterior means of each modality, ``(n_cells, D_m)``, where ``presence`` is true.

        ``presence`` is boolean, ``(n_cells, M)``; ``groups`` are numbers, such as codes of batches, ``(n_cells,)``.
        Raises a ``ValueError`` if there is one modality only, or fewer cells with two than the estimate needs.
        """
        centred = CentredLatents.of(latents, presence, groups)
        jointly_profiled = centred.jointly_profiled()
        pairs = jointly_profiled.pairs()
        _check_pairs(list(latents), jointly_profiled, pairs)
        values, vectors = _descending(evidence(jointly_profiled, pairs))
        limit = chance(jointly_profiled, pairs)
        kept = int((values > limit).sum()) or MIN_DIMENSIONS
        correlation = _correlation(jointly_profiled, pairs, vectors[:, :kept])
        has = dict(zip(latents, presence.T, strict=True))
        return cls(
            mean={name: latents[name][rows].sum(axis=0) / max(rows.sum(), 1) for name, rows in has.items()},
            whitening={name: centred.whitening(m, centred.presence[:, m]) for m, name in enumerate(latents)},
            correlation=correlation,
            directions=_directions(correlation, kept, len(latents)),
            spectrum=1 + values,
            threshold=1 + limit,
        )

    @property
    def n_shared(self) -> int:
        """Number of dimensions that are shared beyond chance."""
        return int((self.spectrum > self.threshold).sum())

    def transform(self, latents: Mapping[str, np.ndarray], presence: np.ndarray) -> np.ndarray:
        """Place of each cell on the shared directions, ``(n_cells, K)``."""
        centred = np.concatenate([latents[n] - self.mean[n] for n in self.mean], axis=1)
        out = np.zeros((len(presence), self.directions.shape[1]), dtype=np.float32)
        for pattern in np.unique(presence, axis=0):
            cells = (presence == pattern).all(axis=1)
            out[cells] = centred[cells] @ self.weights(pattern)
        return out

    def weights(self, pattern: np.ndarray) -> np.ndarray:
        """What centred latents, side by side, are multiplied by where a cell has a ``pattern``, ``(M,)``: ``(D, K)``."""
        seen = np.repeat(pattern, [len(m) for m in self.mean.values()])
        inside = self.correlation[np.ix_(seen, seen)]
        found = np.zeros(self.directions.shape)
        found[seen] = np.linalg.solve(inside, self.correlation[seen] @ self.directions)
        return block_diag(*self.whitening.values()) @ found


def _check_pairs(names: list[str], cells: CentredLatents, pairs: Pairs) -> None:
    if len(names) < 2:
        msg = f"Expected two or more modalities for what they share; the model has {names}. Use the fused latent, 'fused'."
        raise ValueError(msg)
    if not pairs:
        widths = sorted(block.stop - block.start for block in cells.blocks)
        msg = (
            f"Expected more than {widths[0] + widths[1]} cells with the same two modalities, one for each batch and "
            f"missing pattern not counted, to estimate what they share; got {len(cells.values)} cells with two or more "
            f"modalities in {len(np.unique(cells.strata))} batches and patterns. Use the fused latent, 'fused'."
        )
        raise ValueError(msg)


def _correlation(cells: CentredLatents, pairs: Pairs, shared: np.ndarray) -> np.ndarray:
    """Correlation of the whitened latents in the shared directions, ``(D, K)``; positive definite, ``(D, D)``."""
    projections = [_projection(shared[block]) for block in cells.blocks]
    blocks = {(m, m): np.eye(len(p)) for m, p in enumerate(projections)}
    for (a, b), block in cells.correlations(pairs).items():
        blocks[a, b] = projections[a] @ block @ projections[b]
        blocks[b, a] = blocks[a, b].T
    modalities = range(len(projections))
    for a, b in combinations(modalities, 2):
        if (a, b) not in blocks:
            blocks[a, b] = _bridged(blocks, a, b)
            blocks[b, a] = blocks[a, b].T
    values, vectors = np.linalg.eigh(np.block([[blocks[a, b] for b in modalities] for a in modalities]))
    return vectors * np.clip(values, RIDGE, None) @ vectors.T


def _projection(vectors: np.ndarray) -> np.ndarray:
    """Onto the span of columns, ``(D_m, K)``."""
    left, singular, _ = np.linalg.svd(vectors, full_matrices=False)
    left = left[:, singular > RIDGE]
    return left @ left.T


def _bridged(blocks: Mapping[tuple[int, int], np.ndarray], a: int, b: int) -> np.ndarray:
    """Correlation of two modalities that share no cell, if they are independent given the best bridge."""
    others = {c for pair in blocks for c in pair} - {a, b}
    paths = [blocks[a, c] @ blocks[c, b] for c in sorted(others) if (a, c) in blocks and (c, b) in blocks]
    if not paths:
        return np.zeros((len(blocks[a, a]), len(blocks[b, b])))
    return max(paths, key=np.linalg.norm)


def _directions(correlation: np.ndarray, kept: int, n_modalities: int) -> np.ndarray:
    """Leading eigenvectors, each times its reliability, ``(D, K)``; signed so that results repeat."""
    values, vectors = (part[..., :kept] for part in _descending(correlation))
    largest = vectors[np.abs(vectors).argmax(axis=0), np.arange(kept)]
    reliability = n_modalities / (n_modalities - 1) * (1 - 1 / values)
    return vectors * np.where(largest < 0, -1, 1) * np.clip(reliability, RIDGE, None)


def _descending(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues, largest first, and eigenvectors of a symmetric matrix."""
    values, vectors = np.linalg.eigh(matrix)
    return values[::-1], vectors[:, ::-1]
