"""The docs' tables of tissue regions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks import markdown

from ._methods import METHODS
from ._published import BENCHMARKST
from ._tissues import TISSUES

if TYPE_CHECKING:
    import pandas as pd

FEWEST_ISOLATED = 10
# Sets of real size, each with a table of its own: their sections.
DOMAINS = {"dlpfc": ("151673", "151674"), "starmap": ("BZ5", "BZ9")}
CLUSTERED = {
    "joint_mixture_ari": "mixture",
    "each_mixture_ari": "mixture, each by itself",
    "joint_kmeans_ari": "k-means",
    "each_kmeans_ari": "k-means, each by itself",
}
TITLES = {
    "joint_mixture_ari": "ARI of a tied Gaussian mixture at the true number of regions",
    "joint_mixture_nmi": "NMI of a tied Gaussian mixture at the true number of regions",
    "nmi": "NMI of Leiden clusters",
    "ari": "ARI of Leiden clusters",
    "nmi_within": "NMI of Leiden clusters within a section",
    "ari_within": "ARI of Leiden clusters within a section",
    "held_out": "regions of a held-out section, macro-F1",
    "isolated": "accuracy on isolated spots",
    "others": "accuracy on the other spots",
}


def page(scores: pd.DataFrame) -> str:
    """A table of domains for each set of real size, and one for each score: methods by data sets.

    Values are means and standard deviations over seeds. Sets of fewer than 10 isolated spots are left out where the score
    is about these.
    """
    few = scores[(scores["metric"] == "n_isolated") & (scores["value"] < FEWEST_ISOLATED)]["data"]
    scores = scores[~(scores["data"].isin(few) & (scores["metric"] == "isolated"))]
    shown = {metric: title for metric, title in TITLES.items() if (scores["metric"] == metric).any()}
    parts = [_domains(scores[scores["data"] == name], name) for name in DOMAINS if (scores["data"] == name).any()]
    parts += [
        f"{title}:\n\n{markdown.by_set(scores[scores['metric'] == metric], list(TISSUES), list(METHODS))}"
        for metric, title in shown.items()
    ]
    return "\n\n".join(parts) + "\n"


def _domains(scores: pd.DataFrame, name: str) -> str:
    """ARI by section and by way of clustering, and what others published."""
    sections, columns = DOMAINS[name], [f"joint_mixture_ari:{section}" for section in DOMAINS[name]] + list(CLUSTERED)
    quoted = {method for method, values in BENCHMARKST.items() if set(sections) <= set(values)}
    lines = [["method", *sections, *CLUSTERED.values()] + (["as published"] if quoted else [])]
    for method in (method for method in METHODS if method in quoted | set(scores["method"])):
        own = scores[scores["method"] == method]
        values = [own.loc[own["metric"] == column, "value"].to_numpy() for column in columns]
        lines.append([method, *map(markdown.spread, values), *([_quoted(method, sections)] if quoted else [])])
    return f"Domains of {name}, ARI at the true number of regions:\n\n{markdown.table(lines)}"


def _quoted(method: str, sections: tuple[str, ...]) -> str:
    found = BENCHMARKST.get(method, {})
    return " / ".join(f"{found[section]:.3f}" for section in sections) if found else markdown.ABSENT
