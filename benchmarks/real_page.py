"""The page of the benchmark on real data, from its table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TITLES = {
    "teaseq": "TEA-seq PBMC, rna + protein",
    "cite600": "CITE-seq bone marrow, rna + protein",
    "multiome500": "Multiome bone marrow, rna + atac",
    "trimodal": "CITE-seq and Multiome bone marrow, mosaic of rna, atac, protein",
    "tcga": "TCGA breast tumours (bulk), rna + mirna, protein for 150 of 220",
    "snareseq": "SNARE-seq mouse cortex, rna + atac",
}
METHODS = {
    ("mmvae", "fused"): "mmvae, fused",
    ("mmvae", "shared"): "mmvae, shared",
    ("pca", "concatenated"): "PCA",
    ("wnn", "graph"): "WNN",
}
SCORES = {"nmi": "NMI", "ari": "ARI", "silhouette": "silhouette", "knn_f1": "kNN F1"}
WITHOUT_SILHOUETTE = "bio3"
ABSENT = "–"

INTRODUCTION = """\
# Benchmark on real data

How well do embeddings separate known cell types, do they mix batches, and what does a run cost? mmvae runs with its
defaults, `setup_mudata`, `train` and `get_latent_representation`, on all data sets: the defaults follow the number of
cells, and nothing was set for one data set. No method sees the labels. But the defaults of mmvae were chosen with the
scores on these data sets in view, and those of PCA and WNN were not, so expect less of mmvae on other data.

{compared}

{seeds}PCA and WNN are run once, with fixed seeds. The best method of a data set, by its mean, is bold; a difference
smaller than the standard deviation says nothing. All numbers: {{download}}`the table <_static/real_data.csv>`.
"""

COMPARED = {
    "mmvae": """\
- **mmvae, fused**: `get_latent_representation()`. **mmvae, shared**: `representation="shared"`, only what the
  modalities agree on. The batch, where there is one, is given as `batch_key`.""",
    "pca": """\
- **PCA**: 30 principal components of each modality, side by side, each block scaled to the same variance.
  Log-normalised rna (the 2,000 most variable genes), centred log-ratios of protein, TF-IDF of atac without the first
  component where that is sequencing depth, z-scores of measurements that are not counts. It knows nothing of batches.
  A cell that lacks a modality takes that block's mean, so missing patterns lie apart.""",
    "wnn": """\
- **WNN**: weighted nearest neighbours (`muon.pp.neighbors`) from the same components. It needs complete cells, and it
  knows nothing of batches. It gives neighbours and no embedding: Leiden clusters are those of its graph, the classifier
  votes among its neighbours, and the silhouette is that of a diffusion map of its graph. Scored that way, through its
  neighbours, PCA keeps its NMI, ARI and F1, but its silhouette moves by up to 0.1 either way. So WNN takes no part in
  the bold of the first table; compare it by the second, which leaves the silhouette out.""",
}

QUESTIONS = """\
## Are cell types kept apart?

Mean of four scores, 1 is best: NMI and ARI of Leiden clusters with the labels (the resolution of the best NMI, of
eight), silhouette of the labels (scaled to 0 to 1), and macro-F1 of a 15-nearest-neighbour classifier (five folds).
Labels of fewer than 10 cells, and cells of unknown type, are left out.

{bio}

The same without the silhouette, which is unreliable between embeddings of different kinds:

{bio3}

Each score by itself:

{parts}

## Are batches mixed?

Share of a cell's neighbours of its own type that come from other batches, over the share that chance would give: 1 is
full mixing, 0 none. Mixing alone is no merit: an embedding without cell types mixes best. For the TCGA mosaic, which
has no batches, it is the missing patterns that should mix.

{mixing}

iLISI of scib-metrics, which disregards cell types (0 is one batch in each neighbourhood, 1 all batches equally):

{ilisi}

## What does a run cost?

Seconds from data in memory to the last readout, on a CPU with {threads}. Those of WNN include the
compilation of its code, which numba does anew in each process. Where other work shares the processor they vary by a
factor of two and more: read them as orders of magnitude, and run the script for your own.

{seconds}

Peak memory in MB beyond the interpreter with its imports, data included:

{memory}
"""

REPRODUCE = """\
## How to reproduce

```bash
pip install -e ".[benchmark]"
MMVAE_DATA=folder/of/the/data python -m benchmarks.real_data --docs docs/real_data.md
```

Each run has a process of its own; the runs follow one another. The files are not part of the repository; a data set
that is not in the folder is skipped. `--table-only --docs docs/real_data.md` makes this page from the table.

Versions: {versions}.
"""


def write_page(table: pd.DataFrame, page: Path) -> None:
    """Write the page of a table as ``real_data`` makes it."""
    scored = table.dropna(subset=["bio"]).copy()
    scored[WITHOUT_SILHOUETTE] = scored[["nmi", "ari", "knn_f1"]].mean(axis=1)
    text = "\n".join(
        [
            INTRODUCTION.format(compared=_compared(scored), seeds=_seeds(scored)),
            QUESTIONS.format(
                bio=_table(scored, "bio", best=np.nanmax, outside="wnn"),
                bio3=_table(scored, WITHOUT_SILHOUETTE, best=np.nanmax),
                parts=_parts(scored),
                mixing=_table(_of_batches(scored, "batch_mixing"), "batch_mixing"),
                ilisi=_table(_of_batches(scored, "ilisi"), "ilisi"),
                seconds=_table(_of_runs(scored), "seconds", digits=1),
                memory=_table(_of_runs(scored), "peak_memory_mb", size=("data, MB", "data_mb"), digits=0),
                threads=_threads(scored),
            ),
            _notes(table),
            REPRODUCE.format(versions="; ".join(sorted(set(scored["versions"])))),
        ]
    )
    page.write_text(text)


def _table(
    scored: pd.DataFrame,
    column: str,
    *,
    best: Callable[[list[float]], float] | None = None,
    outside: str = "",
    size: tuple[str, str] = ("cells", "n_cells"),
    digits: int = 3,
) -> str:
    """A row for each data set, a column for each method; the best is bold, method ``outside`` not considered."""
    methods = [key for key in METHODS if key in set(_keys(scored))]
    lines = [["data", size[0], *[METHODS[key] for key in methods]]]
    for data in (name for name in TITLES if name in set(scored["data"])):
        own = scored[scored["data"] == data]
        values = [own.loc[_keys(own) == key, column].dropna().to_numpy() for key in methods]
        means = [round(float(v.mean()), digits) if len(v) else np.nan for v in values]
        inside = [np.nan if key[0] == outside else mean for key, mean in zip(methods, means, strict=True)]
        top = best(inside) if best is not None else np.nan
        cells = [_cell(v, digits, bold=m == top) for v, m in zip(values, inside, strict=True)]
        lines.append([TITLES[data], f"{own[size[1]].iloc[0]:,.0f}", *cells])
    return _markdown(lines)


def _parts(scored: pd.DataFrame) -> str:
    """Means of the single scores, a row for each data set and method."""
    lines = [["data", "method", *SCORES.values()]]
    for data in (name for name in TITLES if name in set(scored["data"])):
        own = scored[scored["data"] == data]
        for key in (key for key in METHODS if key in set(_keys(own))):
            means = own.loc[_keys(own) == key, list(SCORES)].mean()
            lines.append([TITLES[data].split(",")[0], METHODS[key], *[f"{m:.3f}" for m in means]])
    return _markdown(lines)


def _cell(values: np.ndarray, digits: int, *, bold: bool) -> str:
    if not len(values):
        return ABSENT
    text = f"{values.mean():,.{digits}f}"
    if len(values) > 1:
        text += f" ± {values.std(ddof=1):,.{digits}f}"
    return f"**{text}**" if bold else text


def _markdown(lines: list[list[str]]) -> str:
    left, right = "| --- ", "| ---: "
    ruler = "".join(left if name in ("data", "method") else right for name in lines[0]) + "|"
    head, *body = ["| " + " | ".join(line) + " |" for line in lines]
    return "\n".join([head, ruler, *body])


def _keys(scored: pd.DataFrame) -> pd.Series:
    return pd.Series(list(zip(scored["method"], scored["readout"], strict=True)), index=scored.index, dtype=object)


def _of_batches(scored: pd.DataFrame, column: str) -> pd.DataFrame:
    return scored.dropna(subset=[column])


def _of_runs(scored: pd.DataFrame) -> pd.DataFrame:
    """One row for each run: its readouts share time and memory."""
    return scored.drop_duplicates(["data", "method", "seed"])


def _compared(scored: pd.DataFrame) -> str:
    return "\n".join(text for method, text in COMPARED.items() if method in set(scored["method"]))


def _seeds(scored: pd.DataFrame) -> str:
    """Which seeds the numbers of mmvae are over, in words."""
    seeds = ", ".join(str(s) for s in sorted(scored.loc[scored["method"] == "mmvae", "seed"].unique()))
    return (
        f"Numbers of mmvae are the mean ± standard deviation over at most these seeds: {seeds}; a single number is a\nsingle seed.\n"
        if seeds
        else ""
    )


def _threads(scored: pd.DataFrame) -> str:
    found = sorted({int(n) for n in scored["threads"].dropna()})
    return " or ".join(f"{n} thread{'s' if n > 1 else ''}" for n in found)


def _notes(table: pd.DataFrame) -> str:
    """What was noted about runs, once for each method and data set."""
    noted = table.dropna(subset=["note"]).drop_duplicates(["data", "method", "note"])
    lines = [f"- {TITLES[r.data].split(',')[0]}, {r.method}: {r.note}" for r in noted.itertuples()]
    return "\n".join(["## Notes on single runs", "", *lines, ""]) if lines else ""
