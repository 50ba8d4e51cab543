"""Sparse counts of simulated genes, never dense but for a block of spots. S spots, G genes, K cell types."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import brentq
from scipy.sparse import csr_matrix, vstack

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from ._factors import Floats

DISPERSION = 3.0
BLOCK_SPOTS = 256
MAX_LOG_DEPTH = 40.0


def expected_shares(composition: Floats, profile: Floats, shift: Floats) -> NDArray[np.float32]:
    """Share of each gene in the transcripts of each spot, shape ``(n_spots, n_genes)``; rows sum to 1."""
    rates = composition.astype(np.float32) @ np.exp(profile + shift[:, None]).astype(np.float32).T
    rates /= rates.sum(axis=1, keepdims=True)
    return rates


def solve_depth(means: Floats, density: float) -> float:
    """What to multiply expected counts by, so that on average a share ``density`` of the counts is not zero."""

    def excess(log_depth: float) -> float:
        return -np.expm1(-DISPERSION * np.log1p(np.exp(log_depth) * means / DISPERSION)).mean() - density

    return float(np.exp(brentq(excess, -MAX_LOG_DEPTH, MAX_LOG_DEPTH)))


def draw_counts(rng: Generator, composition: Floats, depth: Floats, *, profile: Floats, shift: Floats) -> csr_matrix:
    """Negative binomial counts of one section as ``float32``, shape ``(n_spots, n_genes)``.

    Parameters
    ----------
    rng
        Random number generator.
    composition
        Share of each cell type in each spot, shape ``(n_spots, n_types)``.
    depth
        Expected total counts of each spot, shape ``(n_spots,)``.
    profile
        Log expression, shape ``(n_genes, n_types)``.
    shift
        Log fold changes of the section, shape ``(n_genes,)``.
    """
    blocks = []
    for start in range(0, len(composition), BLOCK_SPOTS):
        spots = slice(start, start + BLOCK_SPOTS)
        means = expected_shares(composition[spots], profile, shift)
        means *= depth[spots, None].astype(np.float32)
        blocks.append(_draw_negative_binomial(rng, means))
    return vstack(blocks, format="csr")


def _draw_negative_binomial(rng: Generator, means: NDArray[np.float32]) -> csr_matrix:
    r"""Counts with variance :math:`\mu + \mu^2 / \theta`, shape ``(n_spots, n_genes)``.

    The events of a Poisson process of rate :math:`\lambda` before time 1 number 1 if the first is among them, plus
    those after it: only where it is, the rest need be drawn. Time is measured in units in which the rate is 1.
    """
    rates = rng.standard_gamma(DISPERSION, means.shape, dtype=np.float32)
    rates *= means / DISPERSION
    first = rng.standard_exponential(means.shape, dtype=np.float32)
    spot, gene = np.nonzero(first < rates)
    counts = 1.0 + rng.poisson(rates[spot, gene] - first[spot, gene])
    ends = np.searchsorted(spot, np.arange(len(means) + 1))
    return csr_matrix((counts.astype(np.float32), gene.astype(np.int32), ends.astype(np.int32)), shape=means.shape)
