"""Sparse counts of simulated genes, never dense but for a block of spots. S spots, G genes, K cell types."""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.sparse import csr_matrix, vstack

from mmvae.datasets._negative_binomial import draw_sparse
from mmvae.datasets._typing import Floats

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
        blocks.append(draw_sparse(rng, means, DISPERSION))
    return vstack(blocks, format="csr")
