"""Which cells are compared with which. C cells, B batches."""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import SimpleNamespace
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from anndata import AnnData
from scvi import REGISTRY_KEYS

from mmvae._checks import check_texts
from mmvae.data import categories, find_column, numbers_of, presence_of, text_of
from mmvae.model._data import Data
from mmvae.model._reader import Reader

GROUP = "group"
# Of fewer cells a mean says next to nothing.
FEWEST_CELLS = 3
# Share of the cells of one group that would have to change their batch for it to be as the other.
UNEVEN = 0.2
Names: TypeAlias = str | Iterable[Any] | None
Pair: TypeAlias = tuple[str, str | None]


@dataclass(frozen=True)
class Groups:
    """What a user compares: groups of a column of obs, or cells, in all cells or within the groups of another column."""

    groupby: str | None
    group1: Names
    group2: Names
    idx1: Any
    idx2: Any
    within: str | None

    def __post_init__(self) -> None:
        check_texts(groupby=self.groupby, within=self.within)
        if self.idx1 is None and self.idx2 is not None:
            msg = "Expected idx2 together with idx1, the cells to compare them with; got it alone."
            raise ValueError(msg)

    @property
    def is_named(self) -> bool:
        """Whether groups have names, or are cells that the user chose."""
        return self.idx1 is None

    def labels(self, data: Data) -> pd.Series:
        """The group of each cell as a category, missing where it has none."""
        if self.is_named:
            if self.groupby is None:
                got = "neither" if self.idx2 is None else "idx2 alone"
                msg = f"Expected groupby, a column of obs, or idx1, cells; got {got}. Give one."
                raise ValueError(msg)
            return _column(data, self.groupby)
        first, second = (_mask(data, chosen) for chosen in (self.idx1, self.idx2))
        second = ~first if self.idx2 is None else second
        if n_both := int((first & second).sum()):
            msg = f"Expected idx1 and idx2 to have no cell in common; got {n_both}. Leave them out of one."
            raise ValueError(msg)
        named = pd.Series(None, index=data.obs_names, dtype=object).mask(first, "one").mask(second, "two")
        return categories(named)

    def strata(self, data: Data) -> pd.Series:
        """The group of ``within`` of each cell, missing where it has none; one for all without it."""
        if self.within is None:
            return categories(pd.Series("", index=data.obs_names))
        return _column(data, self.within)

    def pairs(self, known: Sequence[str]) -> list[Pair]:
        """Names of the groups to compare, the second ``None`` for the rest."""
        if not self.is_named:
            return [("one", "two")]
        firsts = list(known) if self.group1 is None else _names(self.group1)
        seconds: list[str | None] = [None] if self.group2 is None else [*_names(self.group2)]
        firsts = firsts * len(seconds) if len(firsts) == 1 else firsts
        seconds = seconds * len(firsts) if len(seconds) == 1 else seconds
        if len(firsts) != len(seconds):
            msg = f"Expected one group, or as many in group1 as in group2; got {len(firsts)} and {len(seconds)}."
            raise ValueError(msg)
        if unknown := [name for name in (*firsts, *seconds) if name is not None and name not in known]:
            msg = f"Expected groups among {list(known)}; got {unknown}."
            raise ValueError(msg)
        pairs = list(zip(firsts, seconds, strict=True))
        return [pair for pair in pairs if self.group1 is not None or pair[0] != pair[1]]


@dataclass(frozen=True, eq=False)
class Compared:
    """Cells to compare, in the shape in which scvi-tools' own code reads them from a manager of data.

    ``numbers``, ``(C,)``, are theirs in the data; ``labels`` their groups, ``strata`` those within which they are
    compared, ``batch`` their batches, and ``measured`` the names of the batches in which the modality was measured.
    """

    numbers: np.ndarray
    labels: pd.Series
    strata: pd.Series
    batch: np.ndarray
    measured: list[str]
    stratum: str = ""

    @classmethod
    def of(
        cls, reader: Reader, data: Data, modality: str, groups: Groups, *, include_imputed: bool, silent: bool
    ) -> "Compared":
        """The cells that have a group and the modality, or may lack it if imputed ones are included."""
        labels, strata = groups.labels(data), groups.strata(data)
        has, known = presence_of(data, [modality])[:, 0], (labels.notna() & strata.notna()).to_numpy()
        kept = known & (has | include_imputed)
        if not silent and kept.sum() < known.sum():
            print(
                f"{known.sum() - kept.sum():,} of {known.sum():,} cells are left out, as they lack '{modality}'; with "
                "include_imputed=True they count with what the model expects of them."
            )
        manager, key = reader.model.get_anndata_manager(data, required=True), REGISTRY_KEYS.BATCH_KEY
        names = [text_of(name) for name in manager.get_state_registry(key).categorical_mapping]
        batch = np.array(names, dtype=object)[np.asarray(manager.get_from_registry(key)).ravel()]
        labels, strata = (column[kept].cat.remove_unused_categories() for column in (labels, strata))
        return cls(np.flatnonzero(kept), labels, strata, batch[kept], sorted(set(batch[has])))

    @cached_property
    def adata(self) -> AnnData:
        """Groups of the cells, without values."""
        return AnnData(obs=pd.DataFrame({GROUP: self.labels.astype(str)}))

    def get_state_registry(self, key: str) -> SimpleNamespace:
        """The batches that cells are decoded in where the user names none."""
        return SimpleNamespace(categorical_mapping=np.array(self.measured, dtype=object))

    def check_measured(self, modality: str) -> None:
        """Raise a ``ValueError`` where no batch is known to decode cells in."""
        if not self.measured:
            msg = (
                f"Expected data of which some cells have '{modality}', whose batches cells are decoded in; none has. Give "
                "batchid1 and batchid2, batches in which the model learnt it."
            )
            raise ValueError(msg)

    def check_own_batches(self) -> None:
        """Raise a ``ValueError`` where cells cannot be decoded in their own batches, as the modality was never measured there."""
        if unknown := sorted(set(self.batch) - set(self.measured)):
            msg = (
                f"Expected batch_correction=True for cells that lack the modality where no cell of their batch has it, such "
                f"as those of '{unknown[0]}', since nothing is known of what the batch does to it; got False."
            )
            raise ValueError(msg)

    @property
    def names(self) -> list[str]:
        """The groups."""
        return list(self.labels.cat.categories)

    @cached_property
    def group_codes(self) -> np.ndarray:
        """Number of each cell's group, ``(C,)``."""
        return self.labels.cat.codes.to_numpy().astype(int)

    def parts(self) -> Iterator["Compared"]:
        """The cells of each stratum."""
        for name in self.strata.cat.categories:
            inside = (self.strata == name).to_numpy()
            own = {key: getattr(self, key)[inside] for key in ("numbers", "labels", "strata", "batch")}
            yield replace(self, **own, stratum=name)

    def masks(self, first: str, second: str | None) -> tuple[np.ndarray, np.ndarray]:
        """Which cells are of the first group, and which of the second, boolean, ``(C,)`` each."""
        one = (self.labels == first).to_numpy()
        return one, ~one if second is None else (self.labels == second).to_numpy()

    def unevenness(self, first: str, second: str | None) -> float:
        """Share of the cells of a group that would have to change their batch for it to be as the other."""
        batch = pd.Series(self.batch)
        one, two = (batch[mask].value_counts(normalize=True) for mask in self.masks(first, second))
        return 0.5 * float(one.sub(two, fill_value=0).abs().sum())


def warn_of_batches(uneven: dict[str, float]) -> None:
    """Warn of comparisons whose groups are spread unevenly over the batches that their cells are decoded in."""
    shown = {name: share for name, share in uneven.items() if share > UNEVEN}
    if shown:
        name, share = max(shown.items(), key=lambda item: item[1])
        msg = (
            f"The groups of {len(shown)} comparisons are spread unevenly over the batches (most so {name}: {share:.0%} of "
            "the cells of one would have to be of other batches), so differences of batches are taken for theirs. Use "
            "batch_correction=True."
        )
        warnings.warn(msg, UserWarning, stacklevel=5)


def _column(data: Data, key: str) -> pd.Series:
    found = find_column(data, key)
    if isinstance(found, str):
        raise KeyError(found)
    return categories(found)


def _mask(data: Data, chosen: Any) -> np.ndarray:
    """Cells by number, mask, or query of obs, as a mask, boolean, ``(n_cells,)``; none for ``None``."""
    if chosen is None:
        return np.zeros(data.n_obs, dtype=bool)
    numbers = _queried(data, chosen) if isinstance(chosen, str) else chosen
    return np.isin(np.arange(data.n_obs), numbers_of(data, numbers))


def _queried(data: Data, query: str) -> np.ndarray:
    try:
        return np.asarray(data.obs.index.get_indexer(data.obs.query(query).index))
    except Exception as error:  # pandas raises what Python would
        msg = (
            f"Expected idx1 and idx2 as cells by number, a mask, or a query of obs, such as \"condition == 'treated'\"; got "
            f"{query!r}, which cannot be read ({error}). Columns of obs are {list(data.obs)}."
        )
        raise ValueError(msg) from error


def _names(given: Any) -> list[str]:
    return [text_of(name) for name in ([given] if isinstance(given, str) or not np.iterable(given) else given)]
