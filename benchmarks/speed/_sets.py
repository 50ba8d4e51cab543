"""The data sets, and which methods are timed on each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, TypeAlias

from benchmarks.data import DATA_SETS, DataSet

from ._methods import CAPTURED, METHODS, MULTIVI, MULTIVI_SPARSE, OURS, SAMPLED, TOTALVI
from ._simulated import Size, repeated, simulated

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mudata import MuData

    from ._jobs import Choice


@dataclass(frozen=True)
class Real:
    """A file, and the methods that take it."""

    data_set: DataSet
    methods: tuple[str, ...]

    def cells(self, folder: Path, n_cells: int | None, *, again: bool) -> MuData:
        """The first ``n_cells``, all if ``None``; ``again`` and again where there are fewer and that is asked for."""
        mdata = self.data_set.read(folder)
        if again and n_cells is not None:
            return repeated(mdata, n_cells)
        return mdata[:n_cells].copy()


@dataclass(frozen=True)
class Simulated:
    """Sizes of simulated data, and the methods that are timed on them."""

    size: Size
    methods: tuple[str, ...]

    def cells(self, folder: Path, n_cells: int | None, *, again: bool) -> MuData:
        """As many cells as asked for, but no more than the set has."""
        return simulated(replace(self.size, n_cells=min(n_cells or self.size.n_cells, self.size.n_cells)))


Source: TypeAlias = Real | Simulated
WITH_PEAKS = (OURS, CAPTURED, SAMPLED, MULTIVI, MULTIVI_SPARSE)
SETS: dict[str, Source] = {
    "snareseq": Real(DATA_SETS["snareseq"], WITH_PEAKS),
    "teaseq": Real(DATA_SETS["teaseq"], (OURS, CAPTURED, TOTALVI)),
    "pbmc10k": Real(DATA_SETS["pbmc10k"], (OURS, CAPTURED, TOTALVI)),
    "peaks100k": Simulated(Size(3_000, rna=2_000, atac=100_000), WITH_PEAKS),
    "million": Simulated(Size(1_000_000, rna=4_000, protein=100), (OURS,)),
}
# Run once in a call, for two epochs, and not where fewer seconds are left.
LARGE = {"million": 120.0}


@cache
def load(name: str, folder: Path, n_cells: int | None, *, again: bool) -> MuData:
    """Cells of a set, made once for all runs of a call."""
    return SETS[name].cells(folder, n_cells, again=again)


@cache
def load_for(method: str, name: str, folder: Path, n_cells: int | None, *, again: bool) -> MuData:
    """The same in the form that the method takes."""
    return METHODS[method].form(load(name, folder, n_cells, again=again))


def methods_of(name: str, choice: Choice) -> Iterator[str]:
    """Methods of a set that are chosen and differ on the device."""
    for title in SETS[name].methods:
        method = METHODS[title]
        if choice.device in method.devices and (not method.peer or method.peer in choice.peers):
            yield title
