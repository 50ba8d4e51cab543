"""Outlier scores: C cells, R reference cells, M modalities."""

import numpy as np

MIN_ALIKE = 50


def outlier_share(energy: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Rank of each cell's negative log prior density among reference cells, 0 to 1, ``(n_cells,)``.

    A cell's density is that of all modalities that it has, and it is ranked among the reference cells that have these
    too, by the same modalities: cells are compared on what they have in common. Where fewer than 50 reference cells
    have all of them, it is the mean of its ranks by each. Modalities that no reference cell has are left aside.

    Parameters
    ----------
    energy
        Negative log prior densities in nats, ``(n_cells, M)``, NaN where a cell lacks a modality.
    reference
        Those of the reference cells, ``(n_reference, M)``.

    Returns
    -------
    Share of the reference cells of lower energy; NaN for a cell without any such modality.
    """
    available = ~np.isnan(reference)
    present = ~np.isnan(energy) & available.any(axis=0)
    share = np.full(len(energy), np.nan)
    for pattern in np.unique(present, axis=0):
        if not pattern.any():
            continue
        cells = (present == pattern).all(axis=1)
        alike = available[:, pattern].all(axis=1)
        if alike.sum() >= MIN_ALIKE or pattern.sum() == 1:
            total = energy[cells][:, pattern].sum(axis=1)
            share[cells] = _rank(total, reference[alike][:, pattern].sum(axis=1))
        else:
            ranks = [_rank(energy[cells, m], reference[available[:, m], m]) for m in np.flatnonzero(pattern)]
            share[cells] = np.mean(ranks, axis=0)
    return share


def _rank(values: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Share of ``reference`` that is smaller, ties counted half."""
    ordered = np.sort(reference)
    below = np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")
    return below / (2 * len(ordered))
