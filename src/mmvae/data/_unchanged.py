"""Whether data are what they were when they were registered. C cells, G features."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData

from mmvae._keys import DATA, FIELDS

from ._access import modalities_of
from ._matrix import Matrix, is_sparse, is_supported, take, values_of
from .setup._inspect import name_faults
from .setup._reference import feature_faults

SAMPLED_CELLS = 256
# Relative to the sum of a cell's absolute values: more than a change of precision does, less than one count.
TOLERANCE = 1e-6
ADVICE = "Put back what was there, such as from a copy, or set the data up again and train a new model."


@dataclass(frozen=True)
class Fingerprint:
    """Weighted sums over the features of some cells, with the cells' names and rows; and of their absolute values."""

    cells: pd.Index
    rows: np.ndarray
    n_cells: int
    sums: np.ndarray
    sizes: np.ndarray

    @classmethod
    def of(cls, adata: AnnData, layer: str | None) -> Self | None:
        """Of a modality; ``None`` where its values are in a file, since no one changes these unawares."""
        matrix = values_of(adata, layer)
        if not _in_memory(matrix) or adata.n_obs == 0:
            return None
        rows = np.unique(np.linspace(0, adata.n_obs - 1, SAMPLED_CELLS).astype(int))
        return cls(adata.obs_names[rows], rows, adata.n_obs, *_weighted_sums(matrix, rows))

    def changed(self, adata: AnnData, layer: str | None) -> pd.Index:
        """Names of those of the cells that are still there and whose values are others."""
        names = adata.obs_names
        rows = names.get_indexer(self.cells) if names.is_unique else np.full(len(self.cells), -1)
        if (rows < 0).all() and adata.n_obs == self.n_cells:
            rows = self.rows  # the cells have new names, or share them
        kept = np.flatnonzero(rows >= 0)
        sums, _ = _weighted_sums(values_of(adata, layer), rows[kept])
        same = np.abs(sums - self.sums[kept]) <= TOLERANCE * self.sizes[kept]
        return names[rows[kept[~same]]]


def _in_memory(matrix: object) -> bool:
    return is_supported(matrix) and (is_sparse(matrix) or isinstance(matrix, np.ndarray))


def _weighted_sums(matrix: Matrix, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sums of the values and of their absolutes, each feature with a weight of its own; each ``(n_rows,)``."""
    weights = np.random.default_rng(0).uniform(1, 2, matrix.shape[1])
    block = take(matrix, rows)
    return block @ weights, abs(block) @ weights


def fingerprints_of(data: AnnData | MuData, layers: Mapping[str, str | None]) -> dict[str, Fingerprint]:
    """By modality that the data have, what tells its values from others."""
    found = {name: Fingerprint.of(adata, layers[name]) for name, adata in _registered(data, layers).items()}
    return {name: print_ for name, print_ in found.items() if print_ is not None}


def changed_faults(
    data: AnnData | MuData,
    registry: Mapping[str, Any],
    layers: Mapping[str, str | None],
    fingerprints: Mapping[str, Fingerprint],
) -> list[str]:
    """What was changed in data since they were registered, in ``layers`` and with ``fingerprints``; a sentence each.

    Reads the names of cells and features, and the values of a sample of cells. Cells that were left out, of all modalities
    and ``obs`` alike, are no fault.
    """
    present = _registered(data, layers)
    faults = [f"modality '{name}' is gone. {ADVICE}" for name in layers if name not in present]
    for place in (field[DATA] for field in registry[FIELDS].values()):
        attribute, key = place.get("attr_name"), place.get("attr_key")
        if attribute in ("obs", "obsm") and key not in getattr(data, attribute):
            faults.append(f"{attribute}['{key}'], which the set-up wrote, is gone. {ADVICE}")
    faults += [] if isinstance(data, AnnData) else name_faults(data, list(present))
    faults += feature_faults(data, list(present), registry)
    if faults:
        return faults
    values = (_value_fault(name, adata, layers[name], fingerprints.get(name)) for name, adata in present.items())
    return [fault for fault in values if fault is not None]


def _registered(data: AnnData | MuData, layers: Mapping[str, str | None]) -> dict[str, AnnData]:
    """Modalities that were registered and are there."""
    modalities = modalities_of(data, {name: name for name in layers})
    return {name: modalities[name] for name in layers if name in modalities}


def _value_fault(name: str, adata: AnnData, layer: str | None, before: Fingerprint | None) -> str | None:
    where = f"modality '{name}', {'X' if layer is None else f'layer {layer!r}'}"
    if layer is not None and layer not in adata.layers:
        return f"{where} is gone. {ADVICE}"
    matrix = values_of(adata, layer)
    if not is_supported(matrix):
        got = "nothing" if matrix is None else type(matrix).__name__
        return f"{where}: expected the values that were set up; got {got}. {ADVICE}"
    if before is None or not _in_memory(matrix) or len(changed := before.changed(adata, layer)) == 0:
        return None
    return (
        f"{where}: values are not those that were set up, in {len(changed)} of {len(before.cells)} cells compared, such as "
        f"'{changed[0]}'. {ADVICE}"
    )
