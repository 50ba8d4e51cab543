"""What the modalities agree on: generalised canonical correlation of their latents.

M modalities, D = sum of their latent dimensions, K shared dimensions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

MINIMUM_CORRELATION = 0.4
MINIMUM_DIMENSIONS = 2
CELLS_PER_DIMENSION = 3
RIDGE = 1e-3


@dataclass(frozen=True)
class SharedSubspace:
    r"""Directions that several modalities share, and each cell's expected place on them.

    Latents are whitened by modality and their correlation matrix :math:`R` (identity within a modality) is
    decomposed, :math:`R V = V \Lambda` (MAXVAR generalised CCA). An eigenvalue of :math:`1 + \rho` says that
    modalities agree with correlation :math:`\rho`. A cell that has the modalities S is placed at its expectation
    under a Gaussian of covariance R, :math:`V^\top R_{\cdot S} R_{SS}^{-1} \tilde z_S`.

    ``mean`` and ``whitening`` are by modality; ``correlation`` is ``(D, D)``; ``directions`` is ``(D, K)``;
    ``spectrum`` holds all D eigenvalues, largest first.
    """

    mean: dict[str, np.ndarray]
    whitening: dict[str, np.ndarray]
    correlation: np.ndarray
    directions: np.ndarray
    spectrum: np.ndarray

    @classmethod
    def fit(cls, latents: Mapping[str, np.ndarray], presence: np.ndarray) -> Self:
        """Fit on training cells.

        Parameters
        ----------
        latents
            Posterior means of each modality, ``(n_cells, D_m)``; rows of cells without it are ignored.
        presence
            Which cells have which modality, boolean, ``(n_cells, n_modalities)``.

        Raises
        ------
        ValueError
            If there is one modality only, or fewer cells with two modalities than the estimate needs.
        """
        names = list(latents)
        _check_pairs(names, latents, presence)
        mean = {n: latents[n][presence[:, i]].mean(axis=0) for i, n in enumerate(names)}
        whitening = {n: _whitening(latents[n][presence[:, i]]) for i, n in enumerate(names)}
        white = {n: (latents[n] - mean[n]) @ whitening[n] for n in names}
        correlation = _correlation(white, presence)
        values, vectors = np.linalg.eigh(correlation)
        values, vectors = values[::-1], vectors[:, ::-1]
        kept = max(MINIMUM_DIMENSIONS, int((values > 1 + MINIMUM_CORRELATION).sum()))
        return cls(mean, whitening, correlation, _signed(vectors[:, :kept]), values)

    def transform(self, latents: Mapping[str, np.ndarray], presence: np.ndarray) -> np.ndarray:
        """Place of each cell on the shared directions, ``(n_cells, K)``."""
        white = np.concatenate([(latents[n] - self.mean[n]) @ self.whitening[n] for n in self.mean], axis=1)
        widths = [len(m) for m in self.mean.values()]
        out = np.zeros((len(presence), self.directions.shape[1]), dtype=np.float32)
        for pattern in np.unique(presence, axis=0):
            cells = (presence == pattern).all(axis=1)
            seen = np.repeat(pattern, widths)
            inside = self.correlation[np.ix_(seen, seen)]
            weights = np.linalg.solve(inside, self.correlation[seen] @ self.directions)
            out[cells] = white[np.ix_(cells, seen)] @ weights
        return out

    def to_dict(self) -> dict[str, Any]:
        """Plain arrays, for a saved model."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def _check_pairs(names: list[str], latents: Mapping[str, np.ndarray], presence: np.ndarray) -> None:
    if len(names) < 2:
        msg = f"Expected two or more modalities for what they share; the model has {names}. Use representation='fused'."
        raise ValueError(msg)
    n_pairs = int((presence.sum(axis=1) > 1).sum())
    needed = CELLS_PER_DIMENSION * max(z.shape[1] for z in latents.values())
    if n_pairs < needed:
        msg = (
            f"Expected at least {needed} cells with two modalities to estimate what they share; got {n_pairs}. Use "
            "representation='fused'."
        )
        raise ValueError(msg)


def _whitening(latent: np.ndarray) -> np.ndarray:
    covariance = np.atleast_2d(np.cov(latent, rowvar=False))
    values, vectors = np.linalg.eigh(covariance)
    # Dimensions that the posterior does not use have almost no variance; the ridge keeps them from being blown up.
    return vectors / np.sqrt(np.clip(values, 0, None) + RIDGE * max(values.max(), 1e-12)) @ vectors.T


def _correlation(white: Mapping[str, np.ndarray], presence: np.ndarray) -> np.ndarray:
    """Correlation of the whitened latents, positive definite, ``(D, D)``."""
    names = list(white)
    blocks = {(a, a): np.eye(white[a].shape[1]) for a in names}
    unpaired = []
    for i, a in enumerate(names):
        for j, b in enumerate(names[:i]):
            both = presence[:, i] & presence[:, j]
            if both.sum() > white[a].shape[1] + white[b].shape[1]:
                blocks[a, b] = white[a][both].T @ white[b][both] / both.sum()
            else:
                unpaired.append((a, b))
    for a, b in [*blocks]:
        blocks[b, a] = blocks[a, b].T
    for a, b in unpaired:
        blocks[a, b] = _bridged(blocks, names, a, b)
        blocks[b, a] = blocks[a, b].T
    matrix = np.block([[blocks[a, b] for b in names] for a in names])
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    return vectors * np.clip(values, RIDGE, None) @ vectors.T


def _bridged(blocks: Mapping[tuple[str, str], np.ndarray], names: list[str], a: str, b: str) -> np.ndarray:
    """Correlation of two modalities that share no cell, if they are independent given the best bridge."""
    paths = [blocks[a, c] @ blocks[c, b] for c in names if (a, c) in blocks and (c, b) in blocks and c not in (a, b)]
    if not paths:
        return np.zeros((len(blocks[a, a]), len(blocks[b, b])))
    return max(paths, key=np.linalg.norm)


def _signed(vectors: np.ndarray) -> np.ndarray:
    """Eigenvectors with the sign that makes their largest entry positive, so that results repeat."""
    largest = vectors[np.abs(vectors).argmax(axis=0), np.arange(vectors.shape[1])]
    return vectors * np.where(largest < 0, -1, 1)
