"""Markdown tables from the table of scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmarks import markdown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import pandas as pd

TITLES = {
    "pbmc10k": "CITE-seq PBMC 10k, rna + 14 proteins",
    "teaseq": "TEA-seq PBMC, rna + protein",
    "cite600": "CITE-seq bone marrow, rna + protein",
    "multiome500": "Multiome bone marrow, rna + atac",
    "snareseq": "SNARE-seq mouse cortex, rna + atac",
    "trimodal": "CITE-seq and Multiome, mosaic of rna, atac, protein",
    "tcga": "TCGA breast tumours (bulk), rna + mirna, protein for 150 of 220",
}
TASKS = {
    "complete": "as they are",
    "mosaic30": "30% of cells lose one",
    "mosaic60": "60% of cells lose one",
    "batch": "one batch loses one",
}
METHODS = {
    "mmvae": "mmvae",
    "pca": "PCA",
    "wnn": "WNN",
    "mofa": "MOFA+",
    "scvi": "scVI (rna)",
    "totalvi": "totalVI",
    "multivi": "MultiVI",
    "multigrate": "multigrate",
}
OWN = "mmvae"
WORSE = " ▾"
CAPPED = "†"
WORDS = ("data", "task", "method", "metric", "better", "where")
BY_BUDGET = "by the budget"
# The mean is over these sets: paired single cells, where every general method runs.
MEAN_OVER = ("teaseq", "cite600", "multiome500")


@dataclass(frozen=True)
class Measure:
    """A column of the table of scores, how to print it, and which value is the best.

    Parameters
    ----------
    name
        A metric, or a column of costs.
    digits
        After the decimal point.
    best
        Gives the best of some means; ``None`` where none is best.
    apart
        A method that is left out of the search for the best.
    """

    name: str
    digits: int = 3
    best: Callable[[list[float]], float] | None = None
    apart: str = ""


HIGHER, LOWER = np.nanmax, np.nanmin


def of_metric(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Rows of one metric with its values in a column of its name."""
    return table[table["metric"] == metric].rename(columns={"value": metric})


def of_runs(table: pd.DataFrame) -> pd.DataFrame:
    """One row for each run: its readouts share time and memory."""
    return table.dropna(subset=["seconds"]).drop_duplicates(["data", "task", "method", "seed"])


def without_silhouette(table: pd.DataFrame) -> pd.DataFrame:
    """Mean of the three other scores, for each run and readout, as the metric ``bio3``."""
    parts = table[table["metric"].isin(["nmi", "ari", "knn_f1"])]
    keys = ["data", "task", "method", "seed", "readout"]
    means = parts.groupby(keys, sort=False).agg(value=("value", "mean"), note=("note", "first")).reset_index()
    return means.assign(metric="bio3")


def capped(rows: pd.DataFrame) -> str:
    """A mark if the budget ended the training of some of these runs."""
    return CAPPED if rows["note"].fillna("").str.contains(BY_BUDGET).any() else ""


def columns_of(table: pd.DataFrame) -> dict[tuple[str, str], str]:
    """Heading of each method and readout, in order; a method with one readout goes by its name alone."""
    headings = {}
    for method, title in METHODS.items():
        readouts = list(dict.fromkeys(table.loc[table["method"] == method, "readout"].dropna()))
        headings |= {(method, r): title if r == readouts[0] else f"{title}, {r}" for r in readouts}
    return headings


def grid(table: pd.DataFrame, measure: Measure, *, mean: bool = False) -> str:
    """A row for each data set and task, a column for each method and readout.

    The best mean of a row is bold; marks tell a mean of mmvae with a better one beside it, and runs cut short.
    """
    headings, by_task = columns_of(table), table["task"].nunique() > 1
    lines = [["data", *(["task"] if by_task else []), *headings.values()]]
    for data, task in _pairs(table):
        own = table[(table["data"] == data) & (table["task"] == task)]
        values = [_of(own, key)[measure.name].dropna().to_numpy(dtype=float) for key in headings]
        marks = [capped(_of(own, key)) for key in headings]
        cells = [cell + mark for cell, mark in zip(_cells(values, list(headings), measure), marks, strict=True)]
        lines.append([TITLES[data], *([TASKS[task]] if by_task else []), *cells])
    if mean:
        lines.append(_mean_line(table, measure, headings))
    return written(lines)


def written(lines: list[list[str]]) -> str:
    """A table whose first line is the heading; columns of numbers are aligned to the right."""
    return markdown.table(lines, WORDS)


def _pairs(table: pd.DataFrame) -> Iterable[tuple[str, str]]:
    there = set(zip(table["data"], table["task"], strict=True))
    return [(data, task) for data in TITLES for task in TASKS if (data, task) in there]


def _of(own: pd.DataFrame, key: tuple[str, str]) -> pd.DataFrame:
    """Rows of a method and readout."""
    return own[(own["method"] == key[0]) & (own["readout"] == key[1])]


def _cells(values: list[np.ndarray], keys: list[tuple[str, str]], measure: Measure) -> list[str]:
    means = [round(float(v.mean()), measure.digits) if len(v) else np.nan for v in values]
    ranked = [np.nan if key[0] == measure.apart else mean for key, mean in zip(keys, means, strict=True)]
    top = measure.best(ranked) if measure.best and not np.isnan(ranked).all() else np.nan
    cells = []
    for value, mean, (method, _) in zip(values, ranked, keys, strict=True):
        worse = method == OWN and not np.isnan(top) and mean != top
        cells.append(_cell(value, measure.digits, bold=mean == top) + (WORSE if worse and len(value) else ""))
    return cells


def _cell(values: np.ndarray, digits: int, *, bold: bool) -> str:
    text = markdown.spread(values, digits, ",")
    return f"**{text}**" if bold and len(values) else text


def _mean_line(table: pd.DataFrame, measure: Measure, headings: dict[tuple[str, str], str]) -> list[str]:
    """Mean over the sets that every general method takes, for methods that have them all."""
    by_set = table[table["data"].isin(MEAN_OVER)].groupby(["method", "readout", "data"])[measure.name].mean()
    means = by_set.groupby(["method", "readout"]).mean()[by_set.groupby(["method", "readout"]).size() == len(MEAN_OVER)]
    values = [np.array([means[key]]) if key in means.index else np.array([]) for key in headings]
    return ["*mean of TEA-seq, CITE-seq bone marrow and Multiome*", *_cells(values, list(headings), measure)]
