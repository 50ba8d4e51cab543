"""One view of AnnData and MuData: named modalities, and each cell's row in each of them."""

import reprlib
from collections.abc import Mapping, Sequence

import numpy as np
from anndata import AnnData
from mudata import MuData


def modalities_of(data: AnnData | MuData, names: Mapping[str, str] | None = None) -> dict[str, AnnData]:
    """Modalities by name; an AnnData is one modality, named by the single value of ``names``."""
    if isinstance(data, AnnData):
        return {next(iter(names.values())) if names else "rna": data}
    return dict(data.mod)


def rows_of(data: AnnData | MuData, name: str) -> np.ndarray:
    """Row of every cell in a modality, -1 where the cell lacks it or the data lack the modality, ``(n_cells,)``.

    Presence comes from ``obsmap`` alone, never from the values.
    """
    if isinstance(data, AnnData):
        return np.arange(data.n_obs)
    if name not in data.mod:
        return np.full(data.n_obs, -1)
    return np.asarray(data.obsmap[name]).astype(np.int64).ravel() - 1


def presence_of(data: AnnData | MuData, names: list[str]) -> np.ndarray:
    """Which cells have which modality, boolean, ``(n_cells, n_modalities)``."""
    return np.stack([rows_of(data, name) >= 0 for name in names], axis=1)


def numbers_of(data: AnnData | MuData, indices: Sequence[int] | Sequence[bool] | np.ndarray | None) -> np.ndarray:
    """Numbers of the cells that ``indices`` names by number or as a mask of all cells, ``(n_cells,)``; all if ``None``.

    Raises a ``ValueError`` if ``indices`` are neither, or reach beyond the data.
    """
    everything = np.arange(data.n_obs)
    chosen = everything if indices is None else np.asarray(indices)
    if chosen.size == 0:
        chosen = chosen.astype(int)
    fault = f"{chosen.ndim} dimensions"
    if chosen.ndim == 1:
        try:
            return everything[chosen]
        except IndexError as error:
            fault = str(error)
    msg = (
        f"Expected indices as numbers of cells or as a mask of all {data.n_obs} cells; got {reprlib.repr(indices)} "
        f"({fault}). For names, give obs_names.get_indexer(names)."
    )
    raise ValueError(msg)


def pattern_names(presence: np.ndarray, names: list[str]) -> np.ndarray:
    """What each cell has, in words such as ``"rna+protein"``, ``(n_cells,)``."""
    codes, inverse = np.unique(presence, axis=0, return_inverse=True)
    words = ["+".join(np.asarray(names)[row]) or "nothing" for row in codes]
    return np.asarray(words, dtype=object)[np.ravel(inverse)]
