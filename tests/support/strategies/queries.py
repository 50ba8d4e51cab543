"""Queries of a reference: some of its own cells, stored in other ways, of other batches, with less measured or in another order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scipy.sparse as sp
from hypothesis import strategies as st

from . import matrices
from .columns import NUMBERS
from .rearranged import rearranged

if TYPE_CHECKING:
    from mudata import MuData

# What is done to a column of text, all of which is read as the same text.
AS_TYPES = {
    "text": lambda texts: texts.astype(object),
    "string": lambda texts: texts.astype("string"),
    "categories": lambda texts: texts.astype("category"),
    "more categories": lambda texts: pd.Categorical(texts, categories=[*sorted(set(texts)), "unused"]),
}
NUMBER_TYPES = ["float64", "Float64", "objects"]
FEATURES = ["as in the reference", "in another order", "one fewer", "one more"]
SPOILT = {
    "a negative count": -1.0,
    "half a count": 0.5,
    "not a number": np.nan,
}


@dataclass
class Query:
    """How a query differs from the reference's cells ``cells``; ``fault`` is a value that no count has."""

    cells: list[int]
    seed: int
    lacks: set[str]
    stored: dict[str, tuple[str, str]]
    batches: str
    batch_type: str
    number_type: str
    has_labels: bool
    features: str
    fault: str | None

    @property
    def has_new_batches(self) -> bool:
        """Whether the reference does not know some of the batches."""
        return self.batches != "known"

    def plain(self, reference: MuData) -> MuData:
        """The reference's cells, less what the query lacks."""
        kept = {name: adata for name, adata in reference.mod.items() if name not in self.lacks}
        names = reference.obs_names[self.cells]
        having = [cell for cell in names if any(cell in adata.obs_names for adata in kept.values())]
        whole = rearranged(reference, reference.obs_names.get_indexer(having), self.seed)
        for name in self.lacks & set(whole.mod):
            del whole.mod[name]
        return rearranged(whole, np.arange(whole.n_obs), self.seed)

    def made(self, reference: MuData) -> MuData:
        """The query."""
        query = self.plain(reference)
        for name, adata in query.mod.items():
            dtype, form = self.stored[name]
            values = adata.X.toarray() if sp.issparse(adata.X) else np.asarray(adata.X)
            adata.X = matrices.stored(values.astype(dtype), form)
        for key, type_ in (("batch", self.batch_type), ("site", self.batch_type)):
            texts = query.obs[key].astype(str)
            if key == "batch" and self.has_new_batches:
                texts = texts + " anew" if self.batches == "new" else texts.where(np.arange(len(texts)) > 0, "anew")
            query.obs[key] = AS_TYPES[type_](texts)
        query.obs["age"] = NUMBERS[self.number_type](query.obs["age"].to_numpy(dtype=float))
        if not self.has_labels:
            del query.obs["label"]
        self._change_features(query)
        if self.fault is not None:
            adata = next(iter(query.mod.values()))
            adata.X = adata.X.toarray() if sp.issparse(adata.X) else np.array(adata.X)
            adata.X = adata.X.astype(np.float64)
            adata.X[-1, -1] = SPOILT[self.fault]
        return query

    def _change_features(self, query: MuData) -> None:
        name = next(iter(query.mod))
        adata = query.mod[name]
        if self.features == "in another order":
            query.mod[name] = adata[:, ::-1].copy()
        elif self.features == "one fewer":
            query.mod[name] = adata[:, 1:].copy()
        elif self.features == "one more":
            more = adata[:, [0, *range(adata.n_vars)]].copy()
            more.var_names = ["one that nobody knows", *adata.var_names]
            query.mod[name] = more
        if self.features != FEATURES[0]:
            query.update_var()


@st.composite
def queries(draw: st.DrawFn, n_cells: int, names: list[str]) -> Query:
    """A query, of a few cells or many."""
    forms = st.sampled_from(matrices.SPARSE + matrices.DENSE)
    # Those that hold all counts of the reference.
    whole = st.sampled_from(["float32", "float64", "int16", "int32", "uint32", "int64", "uint64"])
    return Query(
        cells=draw(st.lists(st.integers(0, n_cells - 1), min_size=1, max_size=n_cells, unique=True)),
        seed=draw(st.integers(0, 2**32 - 1)),
        lacks=draw(st.sets(st.sampled_from(names), max_size=len(names) - 1)),
        stored={name: (draw(whole), draw(forms)) for name in names},
        batches=draw(st.sampled_from(["known", "known", "known", "new", "partly new"])),
        batch_type=draw(st.sampled_from(sorted(AS_TYPES))),
        number_type=draw(st.sampled_from(NUMBER_TYPES)),
        has_labels=draw(st.booleans()),
        features=draw(st.sampled_from([FEATURES[0]] * 6 + FEATURES[1:])),
        fault=draw(st.sampled_from([None] * 15 + sorted(SPOILT))),
    )
