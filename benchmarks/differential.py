"""Are differences between groups found, and no others? On simulated cells and by the markers of blood cells.

``python -m benchmarks.differential --data FOLDER`` trains mmvae with its defaults on each set and updates
``docs/_static/differential.csv`` after each training; those that the table has are skipped. ``--page`` writes the docs' tables.

Simulated cells, a fifth of which lack a modality, are kept such that groups are spread unevenly over two batches. A difference is
true where the means of the clean rates of the two groups are more than 0.25 apart in log2. ``clusters``: 8 pairs of clusters, of
which four fifths of the cells of one are of one batch and of the other of the other. ``conditions``: half of all cells, three
quarters of them of one batch, against the others; counts of a tenth of the features are halved by thinning in one half, and of
another tenth in the other. ``batches``: cells of one cluster in one batch against those in the other, where there is none.

Power is the share of true differences found where 5% of what is found is false, each method's features taken in its order.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from unittest.mock import patch

import numpy as np
import pandas as pd

from . import inputs, markdown, table
from .commands import listed, parser
from .data import DATA_SETS, data_folder
from .machine import versions
from .paths import STATIC
from .training import train

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from mudata import MuData

    from mmvae import MultiVAE

CLUSTERS, CONDITIONS, BATCHES = "clusters", "conditions", "batches"
SIMULATED = ("simulated " + CLUSTERS, "simulated " + CONDITIONS)
REAL = ("pbmc10k", "teaseq")
SETS = (*SIMULATED, *REAL)
N_SIMULATED, MISSING, MINORITY = 3_000, 0.2, 0.2
DELTA, TARGETS = 0.25, (0.05, 0.1)
MEANS, POSTERIORS, CELLS, UNCORRECTED = "means", "means, posteriors alone", "cells", "means, uncorrected"
WILCOXON, FILTERED = "Wilcoxon", f"Wilcoxon, changes above {DELTA}"
METHODS = (MEANS, POSTERIORS, CELLS, UNCORRECTED, WILCOXON, FILTERED)
LINEAGES = {
    "B": ("B",),
    "T": ("T.", "CD4+ T", "CD8+ T"),
    "NK": ("NK",),
    "monocytes": ("Mono", "CD14+ mono", "CD16+ mono"),
}
MARKERS = {
    "rna": {
        "B": ("MS4A1", "CD79A"),
        "T": ("CD3D", "CD3E"),
        "NK": ("NKG7", "GNLY"),
        "monocytes": ("LYZ", "CD14", "S100A8", "S100A9"),
    },
    "protein": {"B": ("CD19",), "T": ("CD3",), "NK": ("CD56",), "monocytes": ("CD14",)},
}
RUN = ["data", "seed"]
COLUMNS = [*RUN, "modality", "of", "method", "metric", "value", "versions"]
PACKAGES = ("mmvae", "scvi-tools", "torch", "scanpy")


class Groups(NamedTuple):
    """Two groups of cells by number, and of each feature whether it differs between them, ``(G,)``."""

    first: np.ndarray
    second: np.ndarray
    differs: np.ndarray


class Found(NamedTuple):
    """By feature, ``(G,)``: what puts the surest first, and the largest share of false ones at which it is called."""

    score: np.ndarray
    level: np.ndarray


def main() -> None:
    """Run what was asked for, then write the page."""
    arguments = _arguments()
    for data in arguments.sets:
        for seed in arguments.seeds:
            if (data, seed) not in table.runs(table.read(arguments.out, COLUMNS), RUN):
                rows = pd.DataFrame(run(data, seed, arguments.data, arguments.models)).assign(data=data, seed=seed)
                rows["versions"] = versions(PACKAGES)
                table.update(arguments.out, rows, SETS, RUN, COLUMNS)
                print(rows[COLUMNS[:-1]].to_string(index=False, header=False), flush=True)
    if arguments.page:
        arguments.page.write_text(page(table.read(arguments.out, COLUMNS)))


def run(data: str, seed: int, folder: Path | None, models: Path | None) -> list[dict[str, Any]]:
    """Rows of one training."""
    mdata = DATA_SETS[data].read(folder or data_folder()) if data in REAL else simulated(data, seed)
    model = trained(mdata, seed, None if data in REAL else "batch", models and models / f"{data}_{seed}")
    if data in REAL:
        return list(ranks(model, mdata, DATA_SETS[data].labels))
    return [row for name in ("rna", "atac") for row in errors(model, mdata, name)]


def trained(mdata: MuData, seed: int, batch_key: str | None, path: Path | None) -> MultiVAE:
    """A model with its defaults; that of ``path``, if there is one, else it is saved there."""
    from mmvae import MultiVAE

    if path is not None and path.exists():
        return MultiVAE.load(path, mdata, accelerator="cpu")
    MultiVAE.setup_mudata(mdata, batch_key=batch_key)
    model = MultiVAE(mdata, seed=seed)
    train(model, None)
    if path is not None:
        model.save(path)
    return model


def simulated(data: str, seed: int) -> MuData:
    """Cells whose groups, clusters or conditions, are spread unevenly over batches."""
    import mmvae

    mdata = mmvae.datasets.simulate(N_SIMULATED, n_batches=2, missing=MISSING, keep_rates=True, seed=seed)
    rng = np.random.default_rng(seed)
    batch, cluster = (mdata.obs[column].cat.codes.to_numpy() for column in ("batch", "cluster"))
    if data == SIMULATED[0]:
        kept = (batch == cluster % 2) | (rng.random(mdata.n_obs) < MINORITY)
        return mdata[kept].copy()
    mdata.obs["condition"] = np.where(rng.random(mdata.n_obs) < np.where(batch == 0, 0.75, 0.25), "one", "two")
    for name in ("rna", "atac"):
        _thin(mdata, name, rng)
    return mdata


def _thin(mdata: MuData, name: str, rng: np.random.Generator) -> None:
    """Halve a tenth of a modality's features in cells of each condition, counts and clean rates."""
    adata, tenth = mdata.mod[name], mdata.mod[name].n_vars // 10
    chosen = rng.permutation(adata.n_vars)[: 2 * tenth].reshape(2, tenth)
    kept = {value: np.ones(adata.n_vars) for value in ("one", "two")}
    for value, features in zip(kept, chosen, strict=True):
        kept[value][features] = 0.5
    share = np.stack([kept[value] for value in mdata.obs["condition"]])
    clean = mdata.obsm[f"rate_{name}"] * share
    mdata.obsm[f"rate_{name}"] = clean / clean.sum(axis=1, keepdims=True)
    counts = adata.X.toarray().astype(int)
    adata.X = type(adata.X)(
        rng.binomial(counts, share[mdata.obs_names.get_indexer(adata.obs_names)]).astype(np.float32)
    )


def comparisons(mdata: MuData, name: str) -> Iterator[tuple[str, Groups]]:
    """Groups of cells that have a modality, and what they are of."""
    has, rates = inputs.rows(mdata, name) >= 0, mdata.obsm[f"rate_{name}"]
    cluster, batch = mdata.obs["cluster"].cat.codes.to_numpy(), mdata.obs["batch"].cat.codes.to_numpy()
    if "condition" in mdata.obs:
        pairs = [(CONDITIONS, *((mdata.obs["condition"] == value).to_numpy() for value in ("one", "two")))]
    else:
        pairs = [(CLUSTERS, cluster == i, cluster == (i + step) % 8) for i in range(0, 8, 2) for step in (1, 3)]
    pairs += [(BATCHES, (cluster == k) & (batch == 0), (cluster == k) & (batch == 1)) for k in range(8)]
    for of, *masks in pairs:
        first, second = (np.flatnonzero(mask & has) for mask in masks)
        change = np.log2(rates[first].mean(axis=0) / rates[second].mean(axis=0))
        yield of, Groups(first, second, (np.abs(change) > DELTA) & (of != BATCHES))


def errors(model: MultiVAE, mdata: MuData, name: str) -> Iterator[dict[str, Any]]:
    """What each method finds that is there and that is not, mean over comparisons."""
    rows = []
    for of, groups in comparisons(mdata, name):
        for method in METHODS:
            scored = scores(found(model, mdata, name, groups, method), groups.differs)
            rows += [{"of": of, "method": method, "metric": metric, "value": value} for metric, value in scored.items()]
    means = pd.DataFrame(rows).groupby(["of", "method", "metric"], sort=False)["value"].mean()
    yield from means.reset_index().assign(modality=name).to_dict("records")


def scores(method: Found, differs: np.ndarray) -> dict[str, float]:
    """Share of false ones among features that are called at each target, of which there are so many, and power."""
    rows = {}
    for target in TARGETS:
        called = method.level <= target
        rows |= {
            f"false {target}": float((called & ~differs).sum() / max(called.sum(), 1)),
            f"called {target}": float(called.mean()),
            f"recall {target}": float((called & differs).sum() / max(differs.sum(), 1)),
        }
    return rows | ({"power": power(method.score, differs)} if differs.any() else {})


def power(score: np.ndarray, differs: np.ndarray, at_false: float = TARGETS[0]) -> float:
    """Share of what differs that is found by taking features in order until ``at_false`` of them do not."""
    order = np.argsort(-score, kind="stable")
    true = np.cumsum(differs[order])
    within = 1 - true / np.arange(1, len(order) + 1) <= at_false
    return float(true[within].max(initial=0) / differs.sum())


def found(model: MultiVAE, mdata: MuData, name: str, groups: Groups, method: str) -> Found:
    """What a method makes of two groups."""
    if method in (WILCOXON, FILTERED):
        return wilcoxon(mdata, name, groups, filtered=method == FILTERED)
    result = tested(model, name, groups, method).loc[mdata.mod[name].var_names]
    probability = result["proba_de"].to_numpy()
    # Among those that are certain, the order of the results.
    return Found(probability + 1e-6 * result["lfc_mean"].abs().rank(pct=True).to_numpy(), levels(probability))


def tested(model: MultiVAE, name: str, groups: Groups, method: str) -> pd.DataFrame:
    """Results of mmvae."""
    import torch

    from mmvae.model.readouts._group_means import GroupSampler

    options = {"idx1": groups.first, "idx2": groups.second, "modality": name, "silent": True, "all_stats": False}
    options |= {"batch_correction": method != UNCORRECTED, "compare": CELLS if method == CELLS else MEANS}
    if method != POSTERIORS:
        return model.differential_expression(**options)
    with patch.object(GroupSampler, "_errors", lambda self, cells, batch, n_samples: torch.zeros(())):
        return model.differential_expression(**options)


def levels(probability: np.ndarray) -> np.ndarray:
    """The false discovery rate of scvi-tools at which each feature is called: the mean doubt of it and of all surer ones."""
    order = np.argsort(-probability, kind="stable")
    doubt = np.empty(len(order))
    doubt[order] = np.cumsum(1 - probability[order]) / np.arange(1, len(order) + 1)
    return doubt


def wilcoxon(mdata: MuData, name: str, groups: Groups, *, filtered: bool) -> Found:
    """Scanpy's rank sums of log-normalised counts, by Benjamini and Hochberg; if ``filtered``, of large changes alone."""
    import scanpy as sc

    adata = mdata.mod[name][[*mdata.obs_names[groups.first], *mdata.obs_names[groups.second]]].copy()
    adata.obs["group"] = pd.Categorical(np.repeat(["one", "two"], [len(groups.first), len(groups.second)]))
    normalised(adata)
    sc.tl.rank_genes_groups(adata, "group", groups=["one"], reference="two", method="wilcoxon")
    result = sc.get.rank_genes_groups_df(adata, "one").set_index("names").loc[adata.var_names]
    score, level = result["scores"].abs().to_numpy(), result["pvals_adj"].to_numpy()
    small = filtered & (result["logfoldchanges"].abs() <= DELTA).to_numpy()
    return Found(np.where(small, -1.0, score), np.where(small, np.inf, level))


def normalised(adata: Any) -> None:
    """Counts of 10,000 in a cell, as log1p."""
    import scanpy as sc

    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)


def ranks(model: MultiVAE, mdata: MuData, labels: str) -> Iterator[dict[str, Any]]:
    """Places of known markers in the lists of what is higher in a lineage than in the rest."""
    import scanpy as sc

    mdata.obs["lineage"] = [_lineage(str(label)) for label in mdata.obs[labels]]
    for name, markers in MARKERS.items():
        adata = mdata.mod[name].copy()
        adata.obs["lineage"] = mdata.obs["lineage"].reindex(adata.obs_names).astype("category")
        normalised(adata)
        sc.tl.rank_genes_groups(adata, "lineage", groups=list(markers), method="wilcoxon")
        result = model.differential_expression(groupby="lineage", group1=list(markers), modality=name, silent=True)
        for lineage, own in markers.items():
            ours = result[(result["group1"] == lineage) & (result["lfc_mean"] > 0)].index
            theirs = pd.Index(sc.get.rank_genes_groups_df(adata, lineage)["names"])
            for method, order in ((MEANS, ours), (WILCOXON, theirs)):
                order = order.str.removeprefix("prot_")
                for marker in (m for m in own if m in set(theirs.str.removeprefix("prot_"))):
                    place = order.get_loc(marker) + 1 if marker in order else np.nan
                    yield {"modality": name, "of": lineage, "method": method, "metric": marker, "value": place}


def _lineage(label: str) -> str:
    return next((name for name, starts in LINEAGES.items() if label.startswith(starts)), "other")


def page(found: pd.DataFrame) -> str:
    """False discovery and power on simulated cells, then places of markers."""
    return "\n".join([_simulated_table(found[found["data"].isin(SIMULATED)]), "", _marker_table(found), ""])


def _simulated_table(found: pd.DataFrame) -> str:
    metrics = ["false 0.05", "false 0.1", "called 0.05", "recall 0.05", "power"]
    lines = [["groups", "modality", "method", *metrics]]
    found = found.sort_values("of", key=lambda of: of.map([CLUSTERS, CONDITIONS, BATCHES].index), kind="stable")
    for (of, modality, method), own in found.groupby(["of", "modality", "method"], sort=False):
        cells = [markdown.spread(own.loc[own["metric"] == metric, "value"].to_numpy()) for metric in metrics]
        lines.append([of, modality, method, *cells])
    return markdown.table(lines, lines[0][:3])


def _marker_table(found: pd.DataFrame) -> str:
    lines = [["data", "modality", "of", "marker", MEANS, WILCOXON]]
    found = found[found["data"].isin(REAL)]
    for (data, modality, of, marker), own in found.groupby(["data", "modality", "of", "metric"], sort=False):
        cells = [markdown.spread(own.loc[own["method"] == m, "value"].to_numpy(), 0) for m in (MEANS, WILCOXON)]
        lines.append([data, modality, of, marker, *cells])
    return markdown.table(lines, lines[0][:4])


def _arguments() -> argparse.Namespace:
    made = parser("differential", __doc__, STATIC / "differential.csv")
    add = made.add_argument
    add("--sets", type=listed(known=SETS), default=list(SETS), help=f"of {', '.join(SETS)}")
    add("--seeds", type=listed(int), default=[0, 1, 2])
    add("--models", type=Path, help="folder of models that were trained so, which others are added to")
    add("--page", type=Path, help="Markdown file to write")
    return made.parse_args()


if __name__ == "__main__":
    main()
