"""Simulated tissue: cell types, niches, sections; lengths in distances between spots. S spots, K cell types."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.random import Generator
from scipy.spatial import KDTree
from scipy.special import softmax

MARKERS: Final = {
    "Malignant": ("KRT19", "CEACAM6", "S100P", "TFF1", "LAMC2", "MUC1", "KRT17", "LCN2"),
    "Ductal": ("CFTR", "AMBP", "SLC4A4", "KRT7", "FXYD2", "ANXA4"),
    "Acinar": ("PRSS1", "CPA1", "CELA3A", "AMY2A", "CTRB1", "PNLIP", "CLPS", "REG1A"),
    "Endocrine": ("INS", "GCG", "SST", "CHGA", "PPY", "IAPP"),
    "Fibroblast": ("COL1A1", "DCN", "POSTN", "LUM", "COL3A1", "FAP", "ACTA2", "SFRP2"),
    "Endothelial": ("PECAM1", "VWF", "CDH5", "PLVAP", "CLDN5", "EMCN"),
    "Adipocyte": ("ADIPOQ", "PLIN1", "LEP", "CIDEC", "PLIN4"),
    "T cell": ("CD3D", "CD3E", "TRAC", "IL7R", "CD2", "CCL5"),
    "B cell": ("MS4A1", "CD79A", "BANK1", "CD19", "CR2", "TCL1A"),
    "Plasma cell": ("JCHAIN", "IGKC", "MZB1", "IGHG1", "XBP1"),
    "Macrophage": ("CD68", "CD163", "C1QA", "C1QB", "LYZ", "MARCO"),
    "Hepatocyte": ("ALB", "APOA1", "TF", "SERPINA1", "HP", "CYP3A4", "FGB", "TTR"),
}
CELL_TYPES: Final = tuple(MARKERS)

_COMPOSITIONS: Final[dict[str, dict[str, float]]] = {
    "CC1": {"Malignant": 0.70, "Fibroblast": 0.15, "Macrophage": 0.10, "Endothelial": 0.05},
    "CC2": {"Fibroblast": 0.65, "Malignant": 0.10, "Endothelial": 0.10, "Macrophage": 0.10, "T cell": 0.05},
    "CC3": {"Malignant": 0.40, "Macrophage": 0.35, "Fibroblast": 0.20, "T cell": 0.05},
    "CC4": {"T cell": 0.40, "Macrophage": 0.20, "Plasma cell": 0.20, "B cell": 0.10, "Fibroblast": 0.10},
    "CC5": {"B cell": 0.60, "T cell": 0.30, "Plasma cell": 0.05, "Macrophage": 0.05},
    "CC6": {"Acinar": 0.75, "Ductal": 0.10, "Fibroblast": 0.10, "Endocrine": 0.05},
    "CC7": {"Endocrine": 0.45, "Acinar": 0.35, "Endothelial": 0.10, "Fibroblast": 0.10},
    "CC8": {"Ductal": 0.55, "Fibroblast": 0.25, "Acinar": 0.15, "Macrophage": 0.05},
    "CC9": {"Adipocyte": 0.45, "Endothelial": 0.30, "Fibroblast": 0.20, "Macrophage": 0.05},
    "CC10": {"Hepatocyte": 0.80, "Endothelial": 0.08, "Macrophage": 0.07, "Ductal": 0.05},
}
NICHES: Final = tuple(_COMPOSITIONS)
# Mean share of each cell type in each niche, ``(n_niches, n_types)``; rows sum to 1.
COMPOSITIONS: Final = np.array([[niche.get(kind, 0.0) for kind in CELL_TYPES] for niche in _COMPOSITIONS.values()])

# How often each niche is found in each tissue; each sums to 1. Every niche but a tissue's own parenchyma is found in
# several tissues: what a spot is made of tells where it is from, though not of every spot.
NICHE_SHARES: Final = {
    "NP": np.array([0.02, 0.20, 0.02, 0.06, 0.02, 0.36, 0.10, 0.14, 0.08, 0.00]),
    "T": np.array([0.30, 0.26, 0.14, 0.08, 0.02, 0.08, 0.02, 0.05, 0.05, 0.00]),
    "HM": np.array([0.28, 0.18, 0.16, 0.08, 0.02, 0.00, 0.00, 0.02, 0.04, 0.22]),
    "LNM": np.array([0.28, 0.18, 0.12, 0.14, 0.20, 0.00, 0.00, 0.00, 0.08, 0.00]),
}

N_ROWS, N_COLUMNS = 78, 64
MAX_SPOTS = N_ROWS * N_COLUMNS
SPOTS_PER_REGION = 80
MAX_REGIONS = 40
BORDER = 0.7
PURITY = 15.0
ISOLATED_FRACTION = 0.01
ISOLATED_SHARE = 0.75


@dataclass(frozen=True)
class Section:
    """Coordinates of spots, ``(S, 2)``, niche, share of each type, ``(S, K)``, and whether the spot is isolated."""

    position: np.ndarray
    niche: np.ndarray
    composition: np.ndarray
    isolated: np.ndarray


def draw_section(rng: Generator, n_spots: int, tissue: str) -> Section:
    """Draw the outline of a section, its niches, and what its spots are made of."""
    for_outline, for_niches, for_composition, for_isolated = rng.spawn(4)
    position = _draw_outline(for_outline, n_spots)
    niche, mean = _draw_niches(for_niches, position, tissue)
    composition = for_composition.standard_gamma(PURITY * mean)
    composition /= composition.sum(axis=1, keepdims=True)
    isolated = _isolate(for_isolated, position, composition)
    return Section(position, niche, composition, isolated)


def _draw_outline(rng: Generator, n_spots: int) -> np.ndarray:
    """Spots of a Visium slide that an irregular piece of tissue covers, ``(S, 2)``."""
    row, column = np.divmod(np.arange(MAX_SPOTS), N_COLUMNS)
    grid = np.stack([column + 0.5 * (row % 2), row * np.sqrt(0.75)], axis=1)
    offset = grid - grid.mean(axis=0)
    angle = np.arctan2(offset[:, 1], offset[:, 0])
    radius = np.ones(MAX_SPOTS)
    for wave in range(2, 7):
        radius += rng.normal(0.0, 0.25 / wave) * np.cos(wave * angle + rng.uniform(0.0, 2.0 * np.pi))
    distance = np.linalg.norm(offset, axis=1) / np.maximum(radius, 0.4)
    ragged = distance * rng.lognormal(0.0, 0.02, MAX_SPOTS)
    return grid[np.sort(np.argsort(ragged)[:n_spots])]


def _draw_niches(rng: Generator, position: np.ndarray, tissue: str) -> tuple[np.ndarray, np.ndarray]:
    """Niche of each spot, and the mean composition there, which passes smoothly from one region to the next."""
    n_regions = min(MAX_REGIONS, max(4, len(position) // SPOTS_PER_REGION), len(position))
    # Smooth displacements, so that borders between regions are no straight lines.
    waves, phase = rng.normal(0.0, 0.35, (2, 4)), rng.uniform(0.0, 2.0 * np.pi, 4)
    bent = position + np.sin(position @ waves + phase) @ rng.normal(0.0, 0.9, (4, 2))
    seeds = bent[rng.choice(len(position), n_regions, replace=False)]
    niche = rng.choice(len(COMPOSITIONS), n_regions, p=NICHE_SHARES[tissue])
    distance = np.linalg.norm(bent[:, None] - seeds, axis=2)
    return niche[distance.argmin(axis=1)], softmax(-distance / BORDER, axis=1) @ COMPOSITIONS[niche]


def _isolate(rng: Generator, position: np.ndarray, composition: np.ndarray) -> np.ndarray:
    """Give some spots, far from each other, a cell type that their neighbours lack, by changing ``composition``."""
    tree = KDTree(position)
    kind = composition.argmax(axis=1)
    isolated = np.zeros(len(position), dtype=bool)
    n_wanted = max(1, round(ISOLATED_FRACTION * len(position)))
    for spot in rng.permutation(len(position)):
        if isolated.sum() == n_wanted:
            break
        if isolated[tree.query_ball_point(position[spot], 2.1)].any():
            continue
        near = tree.query_ball_point(position[spot], 1.1)
        absent = np.setdiff1d(np.arange(composition.shape[1]), kind[near])
        composition[spot] *= 1.0 - ISOLATED_SHARE
        composition[spot, rng.choice(absent)] += ISOLATED_SHARE
        isolated[spot] = True
    return isolated
