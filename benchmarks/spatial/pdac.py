"""Visium sections of pancreatic cancer: can the tissue of a section that was never seen be told from the latent?

``python -m benchmarks.spatial.pdac`` downloads the data of Khaliq et al. (:func:`mmvae.datasets.pdac_visium`; ``--path FILE``
reads a file that is there, ``--simulate`` takes the simulated stand-in). Sections are split into those to train on and those to
validate on, a fifth of each tissue; a logistic regression learns the tissue of spots of the former from each embedding, and
names it for spots of the latter. mmvae is not told the section: each is of one tissue, so that a latent without the section
has lost the tissue; what it is then worth is in the row "with sections". Accuracy is per spot, and per section by a vote of
its spots. PCA of the spots' own log-normalised counts, and of those summed with their neighbours', are beside mmvae. One row
for each seed and method is printed and written to ``--out``.

``--cost`` measures seconds and peak memory of ``pp.spatial``, ``setup_mudata`` and two epochs, with all genes.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scanpy as sc
from sklearn.metrics import accuracy_score, f1_score

import mmvae
from benchmarks.commands import listed
from benchmarks.training import limit_threads

from ._methods import METHODS
from ._scores import classifier
from ._tissues import N_GENES, SECTION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anndata import AnnData

VALIDATED = 0.2
ARMS = {name: METHODS[name] for name in ("pca", "pca smoothed")}
ARMS |= {name: partial(METHODS[name], batch=None) for name in ("mmvae rna alone", "mmvae normal", "mmvae gmrf")}
ARMS |= {"mmvae gmrf with sections": METHODS["mmvae gmrf"]}
# Of the real data: Khaliq et al. 2024.
N_SPOTS, N_SECTIONS, ALL_GENES, DENSITY = 91_496, 30, 17_860, 0.10


def main() -> None:
    """Measure what was asked for."""
    arguments = _arguments()
    limit_threads()
    if arguments.cost:
        return measure_cost(_read(arguments, ALL_GENES, N_SPOTS // N_SECTIONS))
    adata = with_genes(_read(arguments, arguments.genes, arguments.spots))
    rows = [
        {"method": method, "seed": seed, **score(adata, method, seed)}
        for seed in arguments.seeds
        for method in arguments.methods
        if seed == arguments.seeds[0] or not method.startswith("pca")
    ]
    table = pd.DataFrame(rows)
    print(table.round(3).to_string(index=False))
    if arguments.out:
        table.to_csv(arguments.out, index=False)
    return None


def with_genes(adata: AnnData) -> AnnData:
    """The genes that vary most within sections."""
    adata.obs[SECTION] = adata.obs["slide"].astype(str)
    logged = sc.pp.log1p(sc.pp.normalize_total(adata, copy=True), copy=True)
    sc.pp.highly_variable_genes(logged, n_top_genes=min(N_GENES, adata.n_vars), batch_key=SECTION)
    return adata[:, logged.var["highly_variable"]].copy()


def validated_sections(adata: AnnData, seed: int) -> np.ndarray:
    """A fifth of the sections of each tissue, and one of it at the least."""
    sections = adata.obs.drop_duplicates(SECTION)
    generator = np.random.default_rng(seed)
    chosen = [
        name
        for _, own in sections.groupby("tissue", observed=True)
        for name in generator.permutation(own[SECTION].to_numpy())[: max(1, round(VALIDATED * len(own)))]
        if len(own) > 1
    ]
    return np.array(chosen)


def score(adata: AnnData, method: str, seed: int) -> dict[str, float]:
    """Tissue of the spots of sections that were held out."""
    held = validated_sections(adata, seed)
    out = adata.obs[SECTION].isin(held).to_numpy()
    started = time.perf_counter()
    embedding = ARMS[method](adata[~out].copy(), adata, seed)
    seconds = time.perf_counter() - started
    tissue = adata.obs["tissue"].astype(str).to_numpy()
    guess = classifier().fit(embedding[~out], tissue[~out]).predict(embedding[out])
    votes = pd.DataFrame({"guess": guess, "tissue": tissue[out]}).groupby(adata.obs[SECTION].to_numpy()[out]).agg(_most)
    return {
        "accuracy": accuracy_score(tissue[out], guess),
        "macro_f1": f1_score(tissue[out], guess, average="macro"),
        "sections": float((votes["guess"] == votes["tissue"]).mean()),
        "n_sections": len(held),
        "majority": float(pd.Series(tissue[~out]).value_counts(normalize=True).iloc[0]),
        "seconds": seconds,
    }


def _most(values: pd.Series) -> str:
    return values.value_counts().index[0]


def measure_cost(adata: AnnData) -> None:
    """Print seconds and peak memory of each step, with all genes."""
    stored = adata.X.nnz / np.prod(adata.shape)
    print(f"{adata.n_obs:,} spots x {adata.n_vars:,} genes, {stored:.1%} of the values are not zero")
    with step("data in memory"):
        pass
    with step("pp.spatial"):
        mdata = mmvae.pp.spatial(adata, slide_key="slide")
    with step("setup_mudata"):
        mmvae.MultiVAE.setup_mudata(mdata, batch_key="slide")
    with step("MultiVAE"):
        model = mmvae.MultiVAE(mdata)
    with step("2 epochs"):
        model.train(2, enable_progress_bar=False)
    with step("get_latent_representation"):
        model.get_latent_representation()


@contextmanager
def step(name: str) -> Iterator[None]:
    """Print seconds of the block, and the peak of memory so far."""
    started = time.perf_counter()
    yield
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9
    print(f"{name}: {time.perf_counter() - started:.0f} s, peak so far {peak:.1f} GB", flush=True)


def _read(arguments: argparse.Namespace, n_genes: int, n_spots: int) -> AnnData:
    if not arguments.simulate:
        return mmvae.datasets.pdac_visium(arguments.path)
    print("The simulated stand-in, not the data of Khaliq et al.")
    return mmvae.datasets.simulate_pdac(n_spots=n_spots, n_genes=n_genes, density=DENSITY)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.spatial.pdac", description=__doc__)
    add = parser.add_argument
    add("--path", type=Path, help="the h5ad file; downloaded if not given")
    add("--simulate", action="store_true", help="take the simulated stand-in")
    add("--spots", type=int, default=300, help="of each simulated section")
    add("--genes", type=int, default=3_000, help="of the simulation")
    add("--methods", type=listed(known=ARMS), default=list(ARMS), help="names, separated by commas")
    add("--seeds", type=listed(int), default=[0, 1, 2])
    add("--cost", action="store_true", help="measure seconds and memory in place of scores")
    add("--out", type=Path, help="CSV file to write")
    return parser.parse_args()


if __name__ == "__main__":
    main()
