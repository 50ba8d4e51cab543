"""What the model was trained on, as the set-up printed it."""

from collections.abc import Iterator

import pandas as pd

from mmvae.data import Column, SetupArguments, presence_of
from mmvae.data.setup._columns import NUMBERS, scale_of
from mmvae.model import MultiVAE

from ._blocks import Block, Note, Table
from ._cells import column_of, columns_of, patterns_of


def modalities(model: MultiVAE) -> Iterator[Block]:
    """The table of modalities."""
    names, likelihoods = model.modalities, model.module.likelihoods
    layers = SetupArguments.of(model.registry_["setup_args"]).layers
    frame = pd.DataFrame({"modality": names})
    if model.adata is not None:
        frame["cells"] = presence_of(model.adata, names).sum(axis=0)
    frame["features"] = [likelihoods[name].n_features for name in names]
    frame["layer"] = [layers.get(name) or "X" for name in names]
    frame["likelihood"] = [likelihoods[name].name for name in names]
    yield Table(frame, "What was measured, in how many cells, and the distribution that each value is modelled by.")


def patterns(model: MultiVAE) -> Iterator[Block]:
    """The table of what cells have."""
    counts = pd.Series(patterns_of(model)).value_counts()
    frame = pd.DataFrame({"a cell has": counts.index, "cells": counts.to_numpy(), "share": counts / counts.sum()})
    yield Table(frame, f"Of {counts.sum():,} cells, how many have which modalities, the most frequent first.")


def batches(model: MultiVAE) -> Iterator[Block]:
    """The table of batches."""
    batch = column_of(model, "batch")
    if batch is None:
        yield Note("No batches were registered.")
        return
    counts = pd.crosstab(batch.values.astype(str).to_numpy(), patterns_of(model))
    frame = counts.rename_axis(index=batch.key, columns=None).reset_index()
    yield Table(frame, f"Cells of each batch by what they have; a batch is a value of '{batch.key}'.")


def columns(model: MultiVAE) -> Iterator[Block]:
    """The table of registered columns."""
    if found := columns_of(model):
        frame = pd.DataFrame(map(_row, found), columns=["column", "used as", "values"])
        yield Table(frame, "Columns of the data that the model reads, and what it takes them for.")


def _row(column: Column) -> tuple[str, str, str]:
    used = column.role.replace("_", " ") + (f" of {column.detail}" if column.detail else "")
    if column.role in NUMBERS:
        mean, sd = scale_of(column.values)
        return column.key, used, f"mean {mean:.4g}, standard deviation {sd:.4g}"
    return column.key, used, f"{column.values.nunique():,} categories"
