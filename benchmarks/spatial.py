"""Do the spatial modality and its prior find tissue regions? Measured on annotated sections, beside peers.

``python -m benchmarks.spatial --data FOLDER`` embeds the spots of each data set with each method, updates
``docs/_static/spatial.csv`` after each run and then writes the docs' table; runs that the table has are skipped. All methods
are given the same 2,000 genes of the same spots, and the section as batch where they take one.

- ``nmi`` and ``ari``: Leiden clusters of all spots of a set against the regions, the best of a fixed set of resolutions.
- ``nmi_within`` and ``ari_within``: the same of the clusters of each section's spots by themselves, a mean over sections.
- ``isolated`` and ``others``: accuracy of a classifier of regions, in five folds over patches of the tissue, on spots whose
  region differs from that of all their neighbours, and on the rest.
- ``held_out``: macro-F1 of a classifier that learnt regions of the other sections, in the embedding of a section that the
  method was not trained on; a mean over sections. Only of sets with several.
"""

from __future__ import annotations

import argparse
import time
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import anndata as ad
import numpy as np
import pandas as pd
import scanpy as sc
import scipy.sparse as sp
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from . import metrics, table
from .data import data_folder
from .spatial_methods import METHODS, SECTION, UNSEEDED

if TYPE_CHECKING:
    from sklearn.base import ClassifierMixin

ROOT = Path(__file__).parents[1]
TABLE, PAGE = ROOT / "docs" / "_static" / "spatial.csv", ROOT / "docs" / "_evidence" / "spatial.md"
N_GENES = 2_000
LABEL = "region"
UNKNOWN = ("unlabelled", "undetermined", "unknown", "nan")
N_BLOCKS = 20
FEWEST_ISOLATED = 10
DOMAINS, HELD_OUT = "domains", "held_out"
SCORES = {
    "nmi": "NMI of clusters",
    "ari": "ARI of clusters",
    "nmi_within": "NMI of clusters within a section",
    "ari_within": "ARI of clusters within a section",
    HELD_OUT: "regions of a held-out section, macro-F1",
    "isolated": "accuracy on isolated spots",
    "others": "accuracy on the other spots",
}


class Tissue(NamedTuple):
    """Annotated sections: a file, and the column that names its sections, if it has several."""

    file: str
    section: str | None = None

    def read(self, folder: Path) -> ad.AnnData:
        """Labelled and unlabelled spots with counts of the genes that vary most."""
        adata = ad.read_h5ad(folder / self.file)
        adata.obs[SECTION] = "one" if self.section is None else adata.obs[self.section].astype(str)
        adata = adata[np.asarray(adata.X.sum(axis=1)).ravel() > 0].copy()
        sc.pp.filter_genes(adata, min_cells=5)
        logged = sc.pp.log1p(sc.pp.normalize_total(adata, copy=True), copy=True)
        sc.pp.highly_variable_genes(logged, n_top_genes=N_GENES, batch_key=SECTION if self.section else None)
        return adata[:, logged.var["highly_variable"]].copy()


class Stand(NamedTuple):
    """Sections with known niches, simulated."""

    n_sections: int = 6
    n_spots: int = 300
    n_genes: int = 800

    def read(self, folder: Path) -> ad.AnnData:
        """Spots with few counts, as in Visium sections of which a part of the genes is modelled."""
        import mmvae

        adata = mmvae.datasets.simulate_pdac(self.n_sections, n_spots=self.n_spots, n_genes=self.n_genes)
        adata.obs[SECTION] = adata.obs["slide"].astype(str)
        adata.obs[LABEL] = adata.obs["CompositionCluster_CC"].astype(str)
        return adata


TISSUES: dict[str, Tissue | Stand] = {
    "her2st": Tissue("her2st_labelled4.h5ad", "section"),
    "mob": Tissue("mob_st_stahl.h5ad"),
    "pdac_a": Tissue("pdac_a_st_moncada.h5ad"),
    "simulated": Stand(),
}


def main() -> None:
    """Run what was asked for, then write the page."""
    arguments = _arguments()
    folder = arguments.data or data_folder()
    for name in arguments.sets:
        tissue = TISSUES[name]
        if isinstance(tissue, Tissue) and not (folder / tissue.file).exists():
            print(f"{name}: no {tissue.file} in the folder; skipped")
            continue
        adata = tissue.read(folder)
        tasks = [task for task in arguments.tasks if task == DOMAINS or adata.obs[SECTION].nunique() > 1]
        for task, seed, method in product(tasks, arguments.seeds, arguments.methods):
            run = (name, task, method, 0 if method in UNSEEDED else seed)
            if arguments.again or run not in table.done(arguments.out, None):
                table.update(arguments.out, _rows(adata, run), [*TISSUES, *METHODS])
                print(*run, flush=True)
    arguments.page.write_text(page(table.read(arguments.out)))


def _rows(adata: ad.AnnData, run: tuple[str, str, str, int]) -> pd.DataFrame:
    _, task, method, seed = run
    started = time.perf_counter()
    if task == DOMAINS:
        embedding = METHODS[method](adata, adata, seed)
        scores = domain_scores(embedding, adata) | patch_scores(embedding, adata)
    else:
        scores = {HELD_OUT: held_out_score(adata, method, seed)}
    seconds = time.perf_counter() - started
    frame = pd.DataFrame({"metric": list(scores), "value": list(scores.values())})
    return frame.assign(**dict(zip(table.RUN, run, strict=True)), readout="fused", seconds=seconds, n_cells=adata.n_obs)


def domain_scores(embedding: np.ndarray, adata: ad.AnnData) -> dict[str, float]:
    """NMI and ARI of clusters, over spots that have a region; of all sections' spots, and within sections."""
    known = _known(adata)
    embedding, labels, sections = embedding[known], _labels(adata)[known], adata.obs[SECTION].to_numpy(dtype=str)[known]
    nmi, ari = metrics.clustered(embedding, labels)
    inside = [sections == section for section in np.unique(sections)]
    # One region only is no question to clusters.
    asked = [rows for rows in inside if len(np.unique(labels[rows])) > 1]
    within = np.mean([metrics.clustered(embedding[rows], labels[rows]) for rows in asked], axis=0)
    return {"nmi": nmi, "ari": ari, "nmi_within": float(within[0]), "ari_within": float(within[1])}


def patch_scores(embedding: np.ndarray, adata: ad.AnnData) -> dict[str, float]:
    """Accuracy of a classifier of regions on isolated spots and on the others, patches of tissue left out in turn."""
    import mmvae

    labels, known = _labels(adata), _known(adata)
    spots = mmvae.pp.spatial(adata, slide_key=SECTION)["spatial"]
    rows = adata.obs_names.get_indexer(spots.obs_names)
    edges = sp.coo_matrix(spots.obsp["spatial_connectivities"])
    same = np.zeros(adata.n_obs)
    np.add.at(same, rows[edges.row], labels[rows[edges.row]] == labels[rows[edges.col]])
    isolated = known & (same == 0)
    guess = np.full(adata.n_obs, "", dtype=object)
    guess[known] = cross_val_predict(
        _classifier(), embedding[known], labels[known], groups=_patches(adata)[known], cv=GroupKFold(5)
    )
    right = guess == labels
    scores = {"others": float(right[known & ~isolated].mean()), "n_isolated": float(isolated.sum())}
    return scores | ({"isolated": float(right[isolated].mean())} if isolated.any() else {})


def held_out_score(adata: ad.AnnData, method: str, seed: int) -> float:
    """Macro-F1 of regions in a section that neither method nor classifier saw, over regions that others have, too."""
    labels, known, sections = _labels(adata), _known(adata), adata.obs[SECTION].to_numpy(dtype=str)
    scores = []
    for section in np.unique(sections):
        out = sections == section
        embedding = METHODS[method](adata[~out].copy(), adata, seed)
        classifier = _classifier().fit(embedding[~out & known], labels[~out & known])
        asked = out & known & np.isin(labels, labels[~out & known])
        guess = classifier.predict(embedding[asked])
        scores.append(f1_score(labels[asked], guess, labels=np.unique(labels[asked]), average="macro"))
    return float(np.mean(scores))


def _classifier() -> ClassifierMixin:
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=2_000, class_weight="balanced"))


def _labels(adata: ad.AnnData) -> np.ndarray:
    return adata.obs[LABEL].astype(str).to_numpy()


def _known(adata: ad.AnnData) -> np.ndarray:
    return ~np.isin(_labels(adata), UNKNOWN)


def _patches(adata: ad.AnnData) -> np.ndarray:
    """About 20 patches of each section: cells of a grid over it."""
    places, sections = np.asarray(adata.obsm["spatial"], dtype=float), adata.obs[SECTION].to_numpy(dtype=str)
    side = round(N_BLOCKS**0.5)
    names = np.empty(adata.n_obs, dtype=object)
    for section in np.unique(sections):
        inside = sections == section
        low, high = places[inside].min(axis=0), places[inside].max(axis=0)
        cell = np.minimum((places[inside] - low) / (high - low) * side, side - 1e-9).astype(int)
        names[inside] = [f"{section} {tuple(c.tolist())}" for c in cell]
    return names


def page(scores: pd.DataFrame) -> str:
    """A table for each score: methods by data sets, mean and standard deviation over seeds.

    Sets of fewer than 10 isolated spots are left out where the score is about these.
    """
    few = scores[(scores["metric"] == "n_isolated") & (scores["value"] < FEWEST_ISOLATED)]["data"]
    scores = scores[~(scores["data"].isin(few) & (scores["metric"] == "isolated"))]
    shown = {metric: title for metric, title in SCORES.items() if (scores["metric"] == metric).any()}
    parts = [
        f"{title}:\n\n{table.markdown(scores[scores['metric'] == metric], list(TISSUES), list(METHODS), _cell)}"
        for metric, title in shown.items()
    ]
    return "\n\n".join(parts) + "\n"


def _cell(values: np.ndarray) -> str:
    if not len(values):
        return "–"
    return f"{values.mean():.3f}" + (f" ± {values.std(ddof=1):.3f}" if len(values) > 1 else "")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.spatial", description=__doc__)
    add = parser.add_argument
    add("--data", type=Path, help="folder of the data sets; by default the environment variable MMVAE_DATA")
    add("--sets", type=lambda text: text.split(","), default=list(TISSUES), help="data sets, separated by commas")
    add("--methods", type=lambda text: text.split(","), default=list(METHODS), help="names, separated by commas")
    add("--seeds", type=lambda text: [int(seed) for seed in text.split(",")], default=[0, 1, 2])
    add("--tasks", type=lambda text: text.split(","), default=[DOMAINS, HELD_OUT], help="of domains and held_out")
    add("--again", action="store_true", help="run what the table has, too")
    add("--out", type=Path, default=TABLE, help="table to update")
    add("--page", type=Path, default=PAGE, help="Markdown file to write")
    return parser.parse_args()


if __name__ == "__main__":
    main()
