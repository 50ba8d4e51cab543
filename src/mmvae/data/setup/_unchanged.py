"""Whether data are still what was registered. C cells, N rows of a modality, G features."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass
from typing import Any, NamedTuple, Self, TypeAlias

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData

from mmvae._keys import DATA, FIELDS
from mmvae.data._access import files_of, modalities_of
from mmvae.data._matrix import Block, Matrix, blocks, by_rows, is_on_disk, is_supported, take, values_of
from mmvae.data._minified import StoredPosterior, stored_posteriors

from ._features import changed_features
from ._inspect import name_faults

SAMPLED_ROWS = 256
# Relative to the sum of a row's absolute values: more than a change of precision does, less than one count.
TOLERANCE = 1e-6
Data: TypeAlias = AnnData | MuData
ADVICE = "Put back what was there, such as from a copy, or set the data up again and train a new model."


class Sums(NamedTuple):
    """A sum of each row's values, each feature with a weight of its own, and how far another may be from it, ``(N,)``."""

    weights: np.ndarray
    sums: np.ndarray
    slack: np.ndarray

    @classmethod
    def of(cls, matrix: Any) -> Self:
        """Of all rows of a matrix in memory."""
        return cls.of_blocks((block for _, block in blocks(by_rows(matrix))), matrix.shape[1])

    @classmethod
    def of_blocks(cls, parts: Iterable[Block], n_features: int) -> Self:
        """Of the rows of blocks."""
        weights, found = np.random.default_rng(0).uniform(1, 2, n_features), [np.zeros((2, 0))]
        # In double precision, as the absolute of the lowest whole number is beyond its own type.
        found += [np.stack([block @ weights, abs(block.astype(np.float64)) @ weights]) for block in parts]
        sums, sizes = np.concatenate(found, axis=1)
        return cls(weights, sums, TOLERANCE * sizes)

    def differ(self, places: np.ndarray, block: Block) -> np.ndarray:
        """Which rows of ``block`` are not the ones at ``places``, boolean; those at none, -1, are not."""
        same = np.abs(block @ self.weights - self.sums[places]) <= self.slack[places]
        return ~same & (places >= 0)

    def are(self, sums: np.ndarray) -> np.ndarray:
        """Which rows have these sums, boolean."""
        return np.asarray(np.abs(sums - self.sums) <= self.slack)


@dataclass(frozen=True)
class Fingerprint:
    """Names of a modality's cells and features, and of values in memory their sums; no one changes files unawares."""

    cells: pd.Index
    features: pd.Index
    values: Sums | None
    posteriors: Sums | None

    @classmethod
    def of(cls, adata: AnnData, layer: str | None, stored: StoredPosterior | None) -> Self:
        """Of a modality, and the posteriors that it holds if it is minified."""
        matrix = values_of(adata, layer)
        values = None if is_on_disk(matrix) else Sums.of(matrix)
        posteriors = None if stored is None else Sums.of(_as_one(stored))
        return cls(adata.obs_names, adata.var_names, values, posteriors)


def sampled_sums(matrix: Matrix, rows: np.ndarray, columns: np.ndarray | None) -> Sums:
    """Sums of at most 256 of ``rows``, of features in the order of ``columns`` if it is given."""
    places = np.linspace(0, len(rows) - 1, min(len(rows), SAMPLED_ROWS)).astype(int)
    block = take(matrix, rows[places])
    block = block if columns is None else block[:, columns]
    return Sums.of_blocks([block], block.shape[1])


def places_of(names: pd.Index, known: pd.Index) -> np.ndarray:
    """Place of each cell among ``known`` ones, -1 for another; by number where all names are new, or shared."""
    if names.is_(known) or names.equals(known):
        return np.arange(len(names))
    places = known.get_indexer(names) if names.is_unique and known.is_unique else np.full(len(names), -1)
    return np.arange(len(names)) if len(names) == len(known) and (places < 0).all() else places


class Unchanged:
    """What was registered of data, to tell whether they are the same still; that cells were left out is no change.

    The data are given anew to each method, and are not kept alive by what is known of them.
    """

    def __init__(
        self,
        data: Data,
        layers: Mapping[str, str | None],
        registry: Mapping[str, Any],
        columns: Mapping[str, pd.Series],
    ) -> None:
        self.layers, self.cells, self.columns = dict(layers), data.obs_names, dict(columns)
        stored = stored_posteriors(data, list(layers))
        self.modalities = {
            name: Fingerprint.of(adata, layers[name], stored.get(name)) for name, adata in self._present(data).items()
        }
        self.codes = {place: _codes(data, place) for place in _places_in(registry)}

    def rows(self, data: Data) -> dict[str, tuple[Sums, np.ndarray]]:
        """By modality in memory, the sums of its rows and the place among them of each row that it has now."""
        known = {name: (adata, self.modalities[name]) for name, adata in self._present(data).items()}
        return {
            name: (own.values, places_of(adata.obs_names, own.cells))
            for name, (adata, own) in known.items()
            if own.values is not None
        }

    def kept_columns(self, data: Data) -> dict[str, pd.Series]:
        """The columns that were registered, of the cells that are left."""
        places = places_of(data.obs_names, self.cells)
        return {name: values.iloc[places].set_axis(data.obs_names) for name, values in self.columns.items()}

    def faults(self, data: Data, *, with_codes: bool, every_value: bool) -> list[str]:
        """What was changed, a sentence each; ``with_codes`` if nothing else has been registered with the data since."""
        present = self._present(data)
        faults = [f"modality '{name}' is gone. {ADVICE}" for name in self.layers if name not in present]
        # Of a Zarr store that is gone zeros are read; an open file of HDF5 is read on wherever it went.
        gone = [path for path in files_of(data, hdf5=False) if not path.exists()]
        faults += [f"the Zarr store '{path}' is gone, which values are read from. Put it back." for path in gone]
        faults += [] if isinstance(data, AnnData) else name_faults(data, list(present))
        faults += _new_cells("the data have", data.obs_names, self.cells)
        for name, adata in present.items():
            known = self.modalities[name]
            faults += changed_features(name, adata.var_names, known.features)
            faults += _new_cells(f"modality '{name}' has", adata.obs_names, known.cells)
        faults += self._code_faults(data, is_written=with_codes)
        return faults or [f for name in present for f in self._value_faults(data, name, every_value=every_value)]

    def column_faults(self, data: Data, now: Mapping[str, pd.Series], keys: Mapping[str, str]) -> list[str]:
        """Columns of the user's, found by ``keys``, that are others ``now`` than those that were registered."""
        before, faults = self.kept_columns(data), []
        for name, values in now.items():
            differ = _differ(values.to_numpy(dtype=object), before[name].to_numpy(dtype=object))
            faults += _changed_cells(f"the column of key '{keys[name]}'", differ, data.obs_names)
        return faults

    def changed_values(self, data: Data, name: str, rows: np.ndarray, n_compared: int) -> list[str]:
        """A sentence on ``rows`` of a modality whose values are no longer those that were registered, if there are any."""
        if len(rows) == 0:
            return []
        n_changed = (
            f"{len(rows)} of {n_compared} cells compared, such as '{self._present(data)[name].obs_names[rows[0]]}'"
        )
        return [f"{self._where(name)}: values are not those that were set up, in {n_changed}. {ADVICE}"]

    def _where(self, name: str) -> str:
        layer = self.layers[name]
        return f"modality '{name}', {'X' if layer is None else f'layer {layer!r}'}"

    def _present(self, data: Data) -> dict[str, AnnData]:
        """Modalities that were registered and are there."""
        modalities = modalities_of(data, {name: name for name in self.layers})
        return {name: modalities[name] for name in self.layers if name in modalities}

    def _code_faults(self, data: Data, *, is_written: bool) -> list[str]:
        faults, places = [], places_of(data.obs_names, self.cells)
        for (attribute, key), before in self.codes.items():
            if key not in getattr(data, attribute):
                faults.append(f"{attribute}['{key}'], which the set-up wrote, is gone. {ADVICE}")
            elif is_written and (places >= 0).all():
                differ = np.any(_differ(_codes(data, (attribute, key)), before[places]), axis=1)
                faults += _changed_cells(f"{attribute}['{key}'], which the set-up wrote", differ, data.obs_names)
        return faults

    def _value_faults(self, data: Data, name: str, *, every_value: bool) -> list[str]:
        adata = self._present(data)[name]
        layer, known, where = self.layers[name], self.modalities[name], self._where(name)
        if layer is not None and layer not in adata.layers:
            return [f"{where} is gone. {ADVICE}"]
        matrix = values_of(adata, layer)
        if not is_supported(matrix):
            got = "nothing" if matrix is None else type(matrix).__name__
            return [f"{where}: expected the values that were set up; got {got}. {ADVICE}"]
        places = places_of(adata.obs_names, known.cells)
        faults = []
        if known.posteriors is not None:
            stored = stored_posteriors(data, list(self.layers))[name]
            differ = known.posteriors.differ(places, _as_one(stored))
            faults += _changed_cells(
                f"modality '{name}', the posteriors that minified data hold", differ, adata.obs_names
            )
        if known.values is not None and not is_on_disk(matrix) and adata.n_obs:
            n_rows = adata.n_obs if every_value else SAMPLED_ROWS
            rows = np.unique(np.linspace(0, adata.n_obs - 1, n_rows).astype(int))
            found = [known.values.differ(places[rows[part]], block) for part, block in _parts(matrix, rows)]
            faults += self.changed_values(data, name, rows[np.concatenate(found)], len(rows))
        return faults


def _parts(matrix: Matrix, rows: np.ndarray) -> Iterator[tuple[slice, Block]]:
    """Some rows of a matrix in memory, or all, block by block."""
    if len(rows) < matrix.shape[0]:
        yield slice(None), take(matrix, rows)
        return
    for start, block in blocks(by_rows(matrix)):
        yield slice(start, start + block.shape[0]), block


def _changed_cells(what: str, differ: np.ndarray, cells: pd.Index) -> list[str]:
    if not differ.any():
        return []
    example = cells[int(np.argmax(differ))]
    return [f"{what}: not what was set up, in {int(differ.sum())} cells, such as '{example}'. {ADVICE}"]


def _new_cells(what: str, names: pd.Index, known: pd.Index) -> list[str]:
    # Where names are shared, cells that were left out cannot be told from the others.
    if not names.is_unique or not (new := places_of(names, known) < 0).any():
        return []
    return [f"{what} {int(new.sum())} cells, such as '{names[int(np.argmax(new))]}', that were not set up. {ADVICE}"]


def _places_in(registry: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Where the set-up wrote what it registered of cells."""
    places = [(field[DATA].get("attr_name"), field[DATA].get("attr_key")) for field in registry[FIELDS].values()]
    return [place for place in places if place[0] in ("obs", "obsm")]


def _codes(data: AnnData | MuData, place: tuple[str, str]) -> np.ndarray:
    return np.array(getattr(data, place[0])[place[1]]).reshape(data.n_obs, -1)


def _differ(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Where two arrays hold different values; a missing one is the same as another."""
    return np.asarray((one != other) & ~(pd.isna(one) & pd.isna(other)), dtype=bool)


def _as_one(stored: StoredPosterior) -> np.ndarray:
    return np.concatenate(astuple(stored), axis=1)
