"""UMAPs, and pictures of a demo."""

from pathlib import Path

import matplotlib.pyplot as plt
import scanpy as sc
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from mudata import MuData

from mmvae import pl
from mmvae._keys import FUSED, SHARED, UMAP, embedding_key
from mmvae.model import MultiVAE

from ._files import replacing

COLOURED = {"cluster": "True cluster", "batch": "Batch", "pattern": "What was measured"}
ROWS = {FUSED: "fused: all that was measured", SHARED: "shared: what modalities agree on"}
RESOLUTION = 150
DOT = 18


def add_umap(data: MuData | AnnData, readout: str) -> None:
    """Add ``obsm["X_umap"]`` of the fused latent, or ``obsm["X_umap_<readout>"]``, with its neighbour graph."""
    graph = None if readout == FUSED else readout
    sc.pp.neighbors(data, use_rep=embedding_key(readout), key_added=graph)
    sc.tl.umap(data, neighbors_key=graph, key_added=None if readout == FUSED else umap_key(readout))


def umap_key(readout: str) -> str:
    """Name in ``obsm`` of the UMAP of a readout."""
    return UMAP if readout == FUSED else f"{UMAP}_{readout}"


def save_umap(mdata: MuData, path: Path) -> None:
    """Both UMAPs, coloured by truth, batch and missing pattern, with one legend below each column."""
    umaps = {key: mdata.obsm[key] for key in map(umap_key, ROWS)}
    cells = AnnData(obs=mdata.obs[list(COLOURED)].copy(), obsm=umaps)
    # Cells are drawn in random order, so that no batch lies on top of the others.
    cells = cells[cells.obs.sample(frac=1, random_state=0).index].copy()
    figure, grid = plt.subplots(len(ROWS), len(COLOURED), figsize=(11, 8.4))
    for panels, (column, title) in zip(grid.T, COLOURED.items(), strict=True):
        for panel, row in zip(panels, ROWS, strict=True):
            sc.pl.embedding(
                cells, umap_key(row), color=column, ax=panel, show=False, legend_loc="none", size=DOT, title=""
            )
            panel.set(xlabel="", ylabel="")
            panel.spines[:].set_color("0.85")
        panels[0].set_title(title, fontsize=12)
        _add_legend(panels[-1], cells, column)
    for panel, label in zip(grid[:, 0], ROWS.values(), strict=True):
        panel.set_ylabel(label, fontsize=11)
    figure.subplots_adjust(left=0.04, right=0.99, top=0.95, bottom=0.14, wspace=0.05, hspace=0.05)
    _save(figure, path)


def save_history(model: MultiVAE, path: Path) -> None:
    """Loss and divergences over the epochs."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    pl.history(model, axes=axes, show=False)
    _save(figure, path)


def _add_legend(panel: Axes, cells: AnnData, column: str) -> None:
    names = cells.obs[column].cat.categories
    handles = [
        Line2D([], [], marker="o", linestyle="", color=colour, label=name.replace("_", " "))
        for name, colour in zip(names, cells.uns[f"{column}_colors"], strict=True)
    ]
    panel.legend(
        handles=handles,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.02),
        ncols=2 if len(names) > 4 else len(names),
        frameon=False,
        handletextpad=0.2,
        columnspacing=1.2,
    )


def _save(figure: Figure, path: Path) -> None:
    with replacing(path) as part:
        figure.savefig(part, dpi=RESOLUTION)
    plt.close(figure)
