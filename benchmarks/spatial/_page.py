"""The docs' tables of tissue regions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks import markdown

from ._methods import METHODS
from ._tissues import TISSUES

if TYPE_CHECKING:
    import pandas as pd

FEWEST_ISOLATED = 10
TITLES = {
    "nmi": "NMI of clusters",
    "ari": "ARI of clusters",
    "nmi_within": "NMI of clusters within a section",
    "ari_within": "ARI of clusters within a section",
    "held_out": "regions of a held-out section, macro-F1",
    "isolated": "accuracy on isolated spots",
    "others": "accuracy on the other spots",
}


def page(scores: pd.DataFrame) -> str:
    """A table for each score: methods by data sets, mean and standard deviation over seeds.

    Sets of fewer than 10 isolated spots are left out where the score is about these.
    """
    few = scores[(scores["metric"] == "n_isolated") & (scores["value"] < FEWEST_ISOLATED)]["data"]
    scores = scores[~(scores["data"].isin(few) & (scores["metric"] == "isolated"))]
    shown = {metric: title for metric, title in TITLES.items() if (scores["metric"] == metric).any()}
    parts = [
        f"{title}:\n\n{markdown.by_set(scores[scores['metric'] == metric], list(TISSUES), list(METHODS))}"
        for metric, title in shown.items()
    ]
    return "\n\n".join(parts) + "\n"
