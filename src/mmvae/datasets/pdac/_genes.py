"""What acts on simulated genes, and their counts, never dense but for a block of spots. S spots, G genes, K cell types."""

from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
from numpy.random import Generator
from scipy.optimize import brentq
from scipy.sparse import csr_matrix, vstack

from ._sections import SECTIONS, TISSUES, patient_of, tissue_of
from ._tissue import CELL_TYPES, MARKERS

BASELINE_SPREAD = 1.6
TYPE_SPREAD = 1.0
TYPE_DENSITY = 0.1
MARKER_LEVEL = -1.0
MARKER_RISE = 4.5
TISSUE_SPREAD = 0.6
TISSUE_DENSITY = 0.1
PATIENT_SPREAD = 0.15
SECTION_SPREAD = 0.15
DISPERSION = 3.0
BLOCK_SPOTS = 256
MAX_LOG_DEPTH = 40.0


@dataclass(frozen=True)
class Genes:
    """Names, log expression, ``(G, K)``, and log fold changes of tissues, ``(G, 4)``, and of each section, ``(G,)``."""

    names: list[str]
    profile: np.ndarray
    tissue_effect: np.ndarray
    section_shift: dict[str, np.ndarray]


def draw_genes(rng: Generator, n_genes: int) -> Genes:
    """Draw all that acts on the genes; which sections are simulated makes no difference to it."""
    for_types, for_tissues, for_patients, for_sections = rng.spawn(4)
    # the first marker of each type, then the second of each, ..., with the number of their type
    turns = zip_longest(*MARKERS.values())
    markers = [(gene, kind) for turn in turns for kind, gene in enumerate(turn) if gene][:n_genes]
    names = [gene for gene, _ in markers] + [f"GENE{i:04d}" for i in range(1, n_genes - len(markers) + 1)]
    effect = _draw_effects(for_tissues, (n_genes, len(TISSUES)), TISSUE_SPREAD, TISSUE_DENSITY)
    patients = sorted({patient_of(section) for section in SECTIONS})
    by_patient = dict(zip(patients, for_patients.normal(0.0, PATIENT_SPREAD, (len(patients), n_genes)), strict=True))
    own = for_sections.normal(0.0, SECTION_SPREAD, (len(SECTIONS), n_genes))
    shift = {
        section: by_patient[patient_of(section)] + effect[:, TISSUES.index(tissue_of(section))] + one
        for section, one in zip(SECTIONS, own, strict=True)
    }
    return Genes(names, _draw_profile(for_types, n_genes, [kind for _, kind in markers]), effect, shift)


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
    """Negative binomial counts of a section, ``(S, G)``, whose expected totals are ``depth``, ``(S,)``."""
    blocks = []
    for start in range(0, len(composition), BLOCK_SPOTS):
        spots = slice(start, start + BLOCK_SPOTS)
        means = expected_shares(composition[spots], profile, shift)
        means *= depth[spots, None].astype(np.float32)
        blocks.append(_draw_block(rng, means))
    return vstack(blocks, format="csr")


def _draw_profile(rng: Generator, n_genes: int, kinds: list[int]) -> np.ndarray:
    baseline, n_markers = rng.normal(0.0, BASELINE_SPREAD, (n_genes, 1)), len(kinds)
    profile = baseline + _draw_effects(rng, (n_genes, len(CELL_TYPES)), TYPE_SPREAD, TYPE_DENSITY)
    profile[:n_markers] = MARKER_LEVEL + rng.normal(0.0, 0.5, (n_markers, 1))
    profile[np.arange(n_markers), kinds] += MARKER_RISE
    return profile


def _draw_effects(rng: Generator, shape: tuple[int, int], spread: float, density: float) -> np.ndarray:
    return rng.normal(0.0, spread, shape) * (rng.random(shape) < density)


def _draw_block(rng: Generator, means: np.ndarray) -> csr_matrix:
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
