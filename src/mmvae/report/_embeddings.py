"""Where the cells lie in the fused latent, by what should and what should not tell them apart."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import scanpy as sc
from anndata import AnnData

from mmvae._keys import FUSED, embedding_key
from mmvae.model import MultiVAE
from mmvae.pl import embedding

from ._blocks import Block, Note, Picture, picture
from ._cells import column_of, described, most_frequent, patterns_of, sample_of

# Neighbours that a UMAP begins with.
LEAST_CELLS = 15
# Inches: of the dots; the legend beneath them has the room that it needs.
SIZE = (4.4, 4.0)
# Characters of a name up to which two stand beside each other.
SHORT = 20


def embeddings(model: MultiVAE) -> Iterator[Block]:
    """The UMAPs of the fused latent."""
    if len(sample_of(model)) < LEAST_CELLS:
        yield Note(f"Fewer than {LEAST_CELLS} cells are too few for a UMAP.")
        return
    cells = _umap(model)
    yield Note(
        f"A UMAP of the fused latent, of {described(model, sample_of(model))}. Distances between far groups mean little, "
        "and nor do sizes of groups."
    )
    readings = {
        "pattern": "Where colours lie apart, cells are told apart by what was measured, and not by what they are.",
        "batch": "Where colours lie apart, batches differ in their cells, or their technical differences are left.",
        "labels": "Labels that lie apart are told apart by the model, whether or not its prior looks at them.",
    }
    told = [column for column in cells.obs if cells.obs[column].nunique() > 1]
    yield from (_coloured(cells, column, readings[column]) for column in told)
    if not told:
        yield _coloured(cells, "pattern", "Groups that lie apart are cells that the model tells apart.")


def _umap(model: MultiVAE) -> AnnData:
    """A sample of the cells in the fused latent, with what they have, batches and labels, and a UMAP."""
    rows = sample_of(model)
    known = {"pattern": pd.Series(patterns_of(model))}
    for role in ("batch", "labels"):
        if (column := column_of(model, role)) is not None:
            known[role] = column.values
    obs = pd.DataFrame({role: most_frequent(values.iloc[rows]).array for role, values in known.items()})
    obs.index = obs.index.astype(str)
    cells = AnnData(obs=obs, obsm={embedding_key(FUSED): model.get_latent_representation(indices=rows)})
    # Exact neighbours of so many cells are found sooner than those of pynndescent, which is compiled first.
    sc.pp.neighbors(cells, use_rep=embedding_key(FUSED), transformer="sklearn")
    sc.tl.umap(cells, random_state=0)
    return cells


def _coloured(cells: AnnData, column: str, reading: str) -> Picture:
    return picture(
        partial(_drawn, cells, column),
        f"UMAP of the fused latent; a dot is a cell, its colour is its {column}.",
        reading,
    )


def _drawn(cells: AnnData, column: str) -> Any:
    figure, panel = plt.subplots(figsize=SIZE)
    embedding(cells, column, ax=panel, show=False, frameon=False)
    ncols = 2 if cells.obs[column].astype(str).str.len().max() <= SHORT else 1
    panel.legend(loc="upper left", bbox_to_anchor=(0, 0), ncols=ncols, frameon=False)
    return figure
