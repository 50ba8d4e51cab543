"""Figures of ``docs/plots.md``, of real data.

``python -m benchmarks.figures --data FOLDER`` trains on a mosaic of RNA, ATAC and protein, on CITE-seq cells of which a fifth
lacks its proteins, and on two sections of a mouse's brain, which takes some minutes, and writes ``docs/_static/plot_*.png``.
"""

from __future__ import annotations

import contextlib
import os
import warnings
from typing import TYPE_CHECKING

import anndata as ad
import numpy as np
import scanpy as sc
from PIL import Image

from . import inputs
from .commands import listed, parser
from .data import DATA_SETS, data_folder
from .paths import STATIC
from .training import limit_threads, train

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from matplotlib.figure import Figure
    from mudata import MuData

    from mmvae import MultiVAE

DPI, N_COLOURS, HELD_OUT = 110, 128, 0.2
SECTIONS = "starmap_mpfc_bz5_bz9.h5ad"


def main() -> None:
    """Write the figures of the sets that were asked for."""
    made = parser("figures", __doc__, None)
    made.add_argument("--sets", type=listed(str, SETS), default=list(SETS), help="sets to draw; all by default")
    arguments = made.parse_args()
    limit_threads()
    warnings.simplefilter("ignore")
    for name in arguments.sets:
        for figure_name, figure in SETS[name](arguments.data or data_folder()):
            path = STATIC / f"plot_{figure_name}.png"
            figure.savefig(path, dpi=DPI, bbox_inches="tight")
            # of few colours, as small as a page should have it
            Image.open(path).convert("RGB").quantize(N_COLOURS).save(path, optimize=True)
            print(f"Wrote {path}", flush=True)


def mosaic(folder: Path) -> Iterator[tuple[str, Figure]]:
    """Cells with RNA and either ATAC or protein."""
    from mmvae import pl, tl

    mdata = DATA_SETS["trimodal"].read(folder)
    model = _trained(mdata, "batch")
    tl.embed(model, mdata)
    sc.pp.neighbors(mdata, use_rep="X_mmvae")
    sc.tl.umap(mdata)
    imputed = {"protein": model.impute("protein", transform_batch="cite_s1d1")}
    colours = ["protein:CD4", "cell_type_coarse", "mmvae_pattern"]
    yield "embedding", pl.embedding(mdata, colours, imputed=imputed, vmax="p99", ncols=2, return_fig=True)
    yield "presence", pl.presence(mdata, "batch", return_fig=True)


def citeseq(folder: Path) -> Iterator[tuple[str, Figure]]:
    """Cells with RNA and protein, a fifth of which are shown without protein."""
    from mmvae import pl

    whole = DATA_SETS["cite600"].read(folder)
    is_held = np.random.default_rng(0).random(whole.n_obs) < HELD_OUT
    mdata = inputs.selected(whole, {"rna": np.ones(whole.n_obs, dtype=bool), "protein": ~is_held})
    model = _trained(mdata, "batch")
    yield "priors", pl.priors(model, "protein", return_fig=True)
    truth = whole["protein"][whole.obs_names[is_held]]
    # as many counts as the cell has in truth
    predicted = model.impute("protein").mul(np.asarray(truth.X.sum(axis=1)).ravel(), axis=0)
    yield "imputation", pl.imputation(truth, predicted, log=True, return_fig=True)


def sections(folder: Path) -> Iterator[tuple[str, Figure]]:
    """Single cells of two sections."""
    from mmvae import pl, pp, tl

    mdata = pp.spatial(ad.read_h5ad(folder / SECTIONS), slide_key="section")
    model = _trained(mdata, "section")
    tl.embed(model, mdata)
    tl.domains(mdata, 4, smooth=1)
    yield "spatial", pl.spatial(mdata, ["rna:region", "mmvae_domain"], slide_key="section", return_fig=True)


SETS: dict[str, Callable[[Path], Iterator[tuple[str, Figure]]]] = {
    "mosaic": mosaic,
    "citeseq": citeseq,
    "sections": sections,
}


def _trained(mdata: MuData, batch: str) -> MultiVAE:
    """A model with its defaults."""
    from mmvae import MultiVAE

    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        MultiVAE.setup_mudata(mdata, batch_key=batch)
    model = MultiVAE(mdata)
    train(model, None)
    return model


if __name__ == "__main__":
    main()
