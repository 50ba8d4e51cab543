"""Simulated sections of tissue: S spots, K cell types, R regions. Lengths are in distances between spots."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from scipy.spatial import KDTree
from scipy.special import softmax

from ._niches import COMPOSITIONS, NICHE_SHARES

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
    """Coordinates of spots, ``(S, 2)``, niche of the region, ``(S,)``, and share of each cell type, ``(S, K)``.

    ``isolated``, ``(S,)``, are spots given a cell type that none of their neighbours has.
    """

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
