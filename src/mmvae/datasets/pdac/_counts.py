"""Sparse counts of simulated genes, never dense but for a block of spots. S spots, G genes, K cell types."""

import numpy as np
from numpy.random import Generator
from scipy.optimize import brentq
from scipy.sparse import csr_matrix, vstack

DISPERSION = 3.0
BLOCK_SPOTS = 256
MAX_LOG_DEPTH = 40.0


def expected_shares(composition: np.ndarray, profile: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Share of each gene in the transcripts of each spot, ``(S, G)``; rows sum to 1."""
    rates = composition.astype(np.float32) @ np.exp(profile + shift[:, None]).astype(np.float32).T
    rates /= rates.sum(axis=1, keepdims=True)
    return rates


def solve_depth(means: np.ndarray, density: float) -> float:
    """What to multiply expected counts by, so that on average a share ``density`` of the counts is not zero."""

    def excess(log_depth: float) -> float:
        return -np.expm1(-DISPERSION * np.log1p(np.exp(log_depth) * means / DISPERSION)).mean() - density

    return float(np.exp(brentq(excess, -MAX_LOG_DEPTH, MAX_LOG_DEPTH)))


def draw_counts(
    rng: Generator, composition: np.ndarray, depth: np.ndarray, *, profile: np.ndarray, shift: np.ndarray
) -> csr_matrix:
    """Negative binomial counts of one section as ``float32``, ``(S, G)``.

    Spots have a ``composition``, ``(S, K)``, and expected totals ``depth``, ``(S,)``; genes a log expression ``profile``,
    ``(G, K)``, and log fold changes ``shift`` of the section, ``(G,)``.
    """
    blocks = []
    for start in range(0, len(composition), BLOCK_SPOTS):
        spots = slice(start, start + BLOCK_SPOTS)
        means = expected_shares(composition[spots], profile, shift)
        means *= depth[spots, None].astype(np.float32)
        blocks.append(_draw_sparse(rng, means))
    return vstack(blocks, format="csr")


def _draw_sparse(rng: Generator, means: np.ndarray) -> csr_matrix:
    r"""Counts of variance :math:`\mu + \mu^2 / \theta` around ``means``: quicker than dense ones where most are zero.

    The events of a Poisson process of rate :math:`\lambda` before time 1 number 1 if the first is among them, plus
    those after it: only where it is, the rest need be drawn. Time is measured in units in which the rate is 1.
    """
    rates = rng.standard_gamma(DISPERSION, means.shape, dtype=np.float32)
    rates *= means / DISPERSION
    first = rng.standard_exponential(means.shape, dtype=np.float32)
    row, column = np.nonzero(first < rates)
    counts = 1.0 + rng.poisson(rates[row, column] - first[row, column])
    ends = np.searchsorted(row, np.arange(len(means) + 1))
    return csr_matrix((counts.astype(np.float32), column.astype(np.int32), ends.astype(np.int32)), shape=means.shape)
