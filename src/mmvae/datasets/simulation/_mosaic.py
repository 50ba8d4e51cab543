"""Which modalities simulated cells have: C cells, M modalities."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.random import Generator

from mmvae._checks import NOT_NEGATIVE, NUMBER, SHARE

Missing: TypeAlias = float | Mapping[str, float] | Mapping[str, str]

JOIN = "+"


def draw_presence(
    rng: Generator, missing: Missing | None, *, batches: Sequence[str], modalities: Sequence[str]
) -> np.ndarray:
    """Decide which cell has which modality, ``(C, M)``; every cell has one, and every modality a cell."""
    if missing is None:
        present = np.ones((len(batches), len(modalities)), dtype=bool)
    elif isinstance(missing, Mapping):
        present = _from_mapping(rng, missing, batches, modalities)
    else:
        present = _from_fraction(rng, missing, len(batches), len(modalities))
    if n_empty := int((~present.any(axis=1)).sum()):
        msg = f"Expected a modality in every cell; got {n_empty} cells with none. Simulate more modalities."
        raise ValueError(msg)
    if empty := [name for name, has in zip(modalities, present.T, strict=True) if not has.any()]:
        msg = f"Expected cells in every modality; got none in {empty}. Leave it out of `modalities`, or lose it less."
        raise ValueError(msg)
    return present


def _from_mapping(
    rng: Generator, missing: Mapping[str, Any], batches: Sequence[str], modalities: Sequence[str]
) -> np.ndarray:
    if missing and all(_is_pattern(key, modalities) for key in missing):
        return _from_patterns(rng, missing, len(batches), modalities)
    if missing and set(missing) <= set(batches):
        return _from_batches(missing, batches, modalities)
    msg = (
        f"Expected the keys of `missing` to be patterns of {list(modalities)} joined by '{JOIN}', or batches "
        f"among {sorted(set(batches))}; got {list(missing)}. Use keys of one kind."
    )
    raise ValueError(msg)


def _is_pattern(key: object, modalities: Sequence[str]) -> bool:
    parts = key.split(JOIN) if isinstance(key, str) else [None]
    return set(parts) <= set(modalities) and len(set(parts)) == len(parts)


def _from_fraction(rng: Generator, fraction: Any, n_cells: int, n_modalities: int) -> np.ndarray:
    if fraction not in NUMBER:
        msg = (
            "Expected `missing` to be a fraction of cells, a mapping from patterns such as 'rna+protein' to fractions, "
            f"or a mapping from batches such as 'batch_1' to a modality; got {fraction!r}. Use one of the three forms."
        )
        raise TypeError(msg)
    if fraction not in SHARE:
        msg = f"Expected `missing` to be a fraction between 0 and 1; got {fraction}. Choose a value in this range."
        raise ValueError(msg)
    losers = rng.permutation(n_cells)[: round(fraction * n_cells)]
    present = np.ones((n_cells, n_modalities), dtype=bool)
    present[losers, rng.integers(n_modalities, size=len(losers))] = False
    return present


def _from_patterns(
    rng: Generator, fractions: Mapping[str, float], n_cells: int, modalities: Sequence[str]
) -> np.ndarray:
    values = list(fractions.values())
    if not all(value in NOT_NEGATIVE for value in values) or not np.isclose(sum(values), 1.0):
        msg = (
            f"Expected the fractions in `missing` to be non-negative and to sum to 1; got {dict(fractions)}. "
            "Give every pattern its share of the cells, complete cells included."
        )
        raise ValueError(msg)
    has = np.array([[name in pattern.split(JOIN) for name in modalities] for pattern in fractions])
    # over the last, as fractions that people write, such as 0.33333 and 0.66666, do not quite sum to 1
    ends = np.cumsum(values)
    ends = np.rint(ends / ends[-1] * n_cells).astype(int)
    pattern = np.repeat(np.arange(len(values)), np.diff(ends, prepend=0))
    return has[rng.permutation(pattern)]


def _from_batches(lost: Mapping[str, str], batches: Sequence[str], modalities: Sequence[str]) -> np.ndarray:
    if unknown := [name for name in lost.values() if name not in modalities]:
        msg = f"Expected `missing` to map batches to one of {list(modalities)}; got {unknown}. Name one modality each."
        raise ValueError(msg)
    return np.array([[lost.get(batch) != name for name in modalities] for batch in batches])
