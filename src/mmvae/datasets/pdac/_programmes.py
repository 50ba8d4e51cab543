"""What cell types, tissues, patients and sections do to simulated genes. G genes, K cell types."""

from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
from numpy.random import Generator

from ._niches import CELL_TYPES, MARKERS
from ._sections import SECTIONS, TISSUES, patient_of, tissue_of

BASELINE_SPREAD = 1.6
TYPE_SPREAD = 1.0
TYPE_DENSITY = 0.1
MARKER_LEVEL = -1.0
MARKER_RISE = 4.5
TISSUE_SPREAD = 0.6
TISSUE_DENSITY = 0.1
PATIENT_SPREAD = 0.15
SECTION_SPREAD = 0.15


@dataclass(frozen=True)
class Genes:
    """Markers of the cell types by turns, then ``GENE0001``, ...; log expression by cell type, ``(G, K)``.

    Log fold changes are by tissue, not zero in a tenth of the genes, ``(G, 4)``, and of every section of the data: those of
    its tissue, its patient, and its own, ``(G,)``.
    """

    names: list[str]
    profile: np.ndarray
    tissue_effect: np.ndarray
    section_shift: dict[str, np.ndarray]


def draw_genes(rng: Generator, n_genes: int) -> Genes:
    """Draw all that acts on the genes; which sections are simulated makes no difference to it."""
    for_types, for_tissues, for_patients, for_sections = rng.spawn(4)
    markers = _markers_by_turns()[:n_genes]
    names = [gene for gene, _ in markers] + [f"GENE{i:04d}" for i in range(1, n_genes - len(markers) + 1)]
    effect = _draw_sparse(for_tissues, (n_genes, len(TISSUES)), TISSUE_SPREAD, TISSUE_DENSITY)
    patients = sorted({patient_of(section) for section in SECTIONS})
    by_patient = dict(zip(patients, for_patients.normal(0.0, PATIENT_SPREAD, (len(patients), n_genes)), strict=True))
    own = for_sections.normal(0.0, SECTION_SPREAD, (len(SECTIONS), n_genes))
    shift = {
        section: by_patient[patient_of(section)] + effect[:, TISSUES.index(tissue_of(section))] + one
        for section, one in zip(SECTIONS, own, strict=True)
    }
    return Genes(names, _draw_profile(for_types, n_genes, [kind for _, kind in markers]), effect, shift)


def _markers_by_turns() -> list[tuple[str, int]]:
    """Markers with the number of their cell type: the first of each type, then the second of each, ..."""
    return [(gene, kind) for turn in zip_longest(*MARKERS.values()) for kind, gene in enumerate(turn) if gene]


def _draw_profile(rng: Generator, n_genes: int, kinds: list[int]) -> np.ndarray:
    baseline, n_markers = rng.normal(0.0, BASELINE_SPREAD, (n_genes, 1)), len(kinds)
    profile = baseline + _draw_sparse(rng, (n_genes, len(CELL_TYPES)), TYPE_SPREAD, TYPE_DENSITY)
    profile[:n_markers] = MARKER_LEVEL + rng.normal(0.0, 0.5, (n_markers, 1))
    profile[np.arange(n_markers), kinds] += MARKER_RISE
    return profile


def _draw_sparse(rng: Generator, shape: tuple[int, int], spread: float, density: float) -> np.ndarray:
    return rng.normal(0.0, spread, shape) * (rng.random(shape) < density)
