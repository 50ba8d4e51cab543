"""How each modality of simulated cells is measured: C cells, F features, B batches."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.random import Generator
from scipy.special import expit, softmax

from ._factors import Cells, draw_gradient, draw_ring, draw_states

# Counts and expected relative rates, (C, F).
Drawn: TypeAlias = tuple[np.ndarray, np.ndarray]

N_HIDDEN = 48
LOADING_DENSITY = 0.15
SIGNAL = 0.9
DEPTH_SPREAD = 0.4
RNA_DISPERSION = 5.0
PROTEIN_DISPERSION = 8.0
BACKGROUND = 15.0
SWITCH = 4.0


@dataclass(frozen=True)
class Kind:
    """How one modality comes about."""

    feature: str
    n_features: int
    depth: float
    baseline_spread: float
    sparse: bool
    draw_private: Callable[[Generator, int], np.ndarray]
    measure: Callable[[Generator, np.ndarray, np.ndarray, np.ndarray], Drawn]


@dataclass(frozen=True)
class Measured:
    """One modality of all cells: counts and expected relative rates, ``(C, F)``; private factors, ``(C, 3)``."""

    counts: np.ndarray
    rates: np.ndarray
    private: np.ndarray


def measure(rng: Generator, kind: Kind, cells: Cells, n_features: int, batch_strength: float) -> Measured:
    """Draw one modality of all cells: its private factors, then its counts."""
    for_private, for_scores, for_shift, for_size, for_counts = rng.spawn(5)
    n_cells = len(cells.batch)
    private = kind.draw_private(for_private, n_cells)
    scores = _draw_scores(for_scores, np.hstack([cells.shared, private]), n_features, kind.baseline_spread)
    shift = for_shift.normal(0.0, batch_strength, (cells.batch.max() + 1, n_features))[cells.batch]
    size = kind.depth * for_size.lognormal(-0.5 * DEPTH_SPREAD**2, DEPTH_SPREAD, (n_cells, 1))
    counts, rates = kind.measure(for_counts, scores, shift, size)
    return Measured(counts, rates, private)


def _draw_scores(rng: Generator, factors: np.ndarray, n_features: int, baseline_spread: float) -> np.ndarray:
    """Log rates up to a constant per cell, ``(C, F)``."""
    n_factors = factors.shape[1]
    inner = rng.normal(0.0, 1.5 / np.sqrt(n_factors), (n_factors, N_HIDDEN))
    basis = np.hstack([np.tanh(factors @ inner), factors])
    shape = (basis.shape[1], n_features)
    loadings = rng.normal(size=shape) * (rng.random(shape) < LOADING_DENSITY)
    scale = SIGNAL / np.sqrt(LOADING_DENSITY * basis.shape[1])
    return basis @ loadings * scale + rng.normal(0.0, baseline_spread, n_features)


def _draw_counts(rng: Generator, means: np.ndarray, dispersion: float) -> np.ndarray:
    r"""Negative binomial counts, of variance :math:`\mu + \mu^2 / \theta`."""
    return rng.poisson(rng.gamma(dispersion, means / dispersion))


def _count_genes(rng: Generator, scores: np.ndarray, shift: np.ndarray, size: np.ndarray) -> Drawn:
    mean = size * softmax(scores + shift, axis=1)
    return _draw_counts(rng, mean, RNA_DISPERSION), softmax(scores, axis=1)


def _count_fragments(rng: Generator, scores: np.ndarray, shift: np.ndarray, size: np.ndarray) -> Drawn:
    return rng.poisson(size * softmax(scores + shift, axis=1)), softmax(scores, axis=1)


def _count_proteins(rng: Generator, scores: np.ndarray, shift: np.ndarray, size: np.ndarray) -> Drawn:
    rates = softmax(scores, axis=1)
    chance = expit(SWITCH * np.log(rates / np.median(rates, axis=0)))
    background = BACKGROUND * np.exp(rng.normal(0.0, 0.5, scores.shape[1]) + shift)
    foreground = size * softmax(scores + shift, axis=1) * (rng.random(scores.shape) < chance)
    expected = chance * rates
    counts = _draw_counts(rng, background + foreground, PROTEIN_DISPERSION)
    return counts, expected / expected.sum(axis=1, keepdims=True)


KINDS: dict[str, Kind] = {
    "rna": Kind("gene", 300, 1600.0, 1.0, True, draw_states, _count_genes),
    "atac": Kind("peak", 800, 320.0, 0.7, True, draw_ring, _count_fragments),
    "protein": Kind("protein", 30, 6000.0, 0.5, False, draw_gradient, _count_proteins),
}
