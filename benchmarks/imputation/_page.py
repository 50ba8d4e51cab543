"""Tables of the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from benchmarks import markdown

from ._methods import METHODS
from ._task import TARGETS

if TYPE_CHECKING:
    import numpy as np

TITLES = {
    "pearson": "Correlation over cells, mean over features",
    "spearman": "The same of ranks",
    "auroc": "Open peaks told from closed ones (AUROC)",
    "nll": "Negative log-likelihood of a cell's counts, nats",
}
OWN = {"coverage": "inside", "central": "inside, ties by lot", "below": "below", "above": "above"}
OWN |= {"width": "width", "rates": "true rates inside"}


def page(found: pd.DataFrame) -> str:
    """Methods by sets for each score, and mmvae's intervals; mean and standard deviation over seeds."""
    parts = [_by_method(found, score) for score in TITLES]
    return "\n\n".join([*(part for part in parts if part), _intervals(found), *_notes(found)]) + "\n"


def _by_method(found: pd.DataFrame, score: str) -> str:
    rows = found.rename(columns={score: "value"}).dropna(subset=["value"])
    digits = 1 if score == "nll" else 3
    text = markdown.by_set(rows, list(TARGETS), list(METHODS), lambda values: _cell(values, digits))
    return f"{TITLES[score]}:\n\n{text}" if len(rows) else ""


def _cell(values: np.ndarray, digits: int) -> str:
    return f"{markdown.spread(values, digits)} ({len(values)})" if len(values) else markdown.ABSENT


def _notes(found: pd.DataFrame) -> list[str]:
    """Runs that were cut short or failed, in one paragraph."""
    noted = found[found["note"].fillna("") != ""]
    words = [f"{row.method} on {row.data}, seed {row.seed}: {row.note}" for row in noted.itertuples()]
    return ["Cut short or failed: " + "; ".join(words) + "."] if words else []


def _intervals(found: pd.DataFrame) -> str:
    lines = [["90% intervals of counts", "cells", *OWN.values()]]
    for data in TARGETS:
        own = found[(found["data"] == data) & found["coverage"].notna()]
        if len(own):
            values = [markdown.spread(own[name].dropna().to_numpy()) for name in OWN]
            lines.append([data, f"{own['n_cells'].clip(upper=500).mean():.0f}", *values])
    return markdown.table(lines)
