"""Tables, answers and the figure of the ladder, from its table of runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks import markdown

from ._figure import draw
from ._verdicts import (
    CONTROL,
    QUESTIONS,
    Question,
    differences,
    sameness,
    values,
    verdict,
    with_miscoverage,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    import pandas as pd

TITLES = {
    "pbmc10k": "CITE-seq PBMC 10k, rna + 14 proteins",
    "sim": "Simulation, rna + atac, half of the cells paired",
    "cite600": "CITE-seq bone marrow, rna + protein",
    "multiome500": "Multiome bone marrow, rna + atac",
    "teaseq": "TEA-seq PBMC, rna + protein",
    "trimodal": "CITE-seq and Multiome bone marrow, mosaic of rna, atac, protein",
}
ARMS = {
    "A0": "A0 N(0, I)",
    "A1": "A1 learned Gaussian",
    "A2": "A2 mixture each",
    "A3": "A3 one mixture for all",
    "A4g": "A4g coupled Gaussian",
    "A5g": "A5g A4g, uncoupled at test time",
    "A4f": "A4f coupled mixture",
    "A5f": "A5f A4f, uncoupled at test time",
}
# Name in the table of runs: heading and decimals.
METRICS = {
    "iwae": ("IWAE-64", 1),
    "elbo": ("ELBO", 1),
    "kl": ("KL", 1),
    "c2st": ("c2st", 3),
    "c2st_joint": ("c2st, joint", 3),
    "components": ("components", 1),
    "pearson": ("imputation r", 3),
    "nll": ("imputation NLL", 1),
    "coverage": ("coverage", 3),
    "foscttm": ("FOSCTTM", 3),
    "foscttm_shared": ("FOSCTTM, shared", 3),
    "transfer": ("transfer", 3),
    "ari": ("ARI", 3),
    "ari_shared": ("ARI, shared", 3),
    "bio": ("bio", 3),
    "bio_shared": ("bio, shared", 3),
    "r2_full": ("R2 shared factors", 3),
    "seconds": ("seconds", 0),
}
NAMES = {name: heading for name, (heading, _) in METRICS.items()} | {"miscoverage": "coverage, distance from 0.9"}

INTRODUCTION = """\
The same encoders, decoders, seeds and number of epochs; the prior alone differs. Weights are those of the best epoch.
A seed is also a split, and in the simulation a data set. All scores are of held-out cells, but for those of cell types
on real data, which are of all cells.
Bounds, KL and NLL are in nats per cell. c2st is the AUC of a classifier that tells draws of the prior from draws of the
posteriors, 0.5 if none can. Imputation is of a modality that was withheld: the mean over features of the correlation
over cells with the true log rates (simulation) or log-normalised measurements, and the negative log of the predictive
probability of each value, summed over features. Coverage is that of 90% intervals of true log rates. FOSCTTM is between
the views of a cell through single modalities, 0 is best and 0.5 chance. Transfer is the accuracy of labels that cells
seen through one modality get from training cells seen through several. "shared" stands for that readout, else it is the
fused one. Components is the exponential of the entropy of the mixture's weights.

Numbers are means ± standard deviations over seeds. A difference counts if the 95% interval of its mean over seeds (paired,
Student's t) leaves out 0; else it is within noise. With three seeds only large differences can count. There are many
questions, of which one in twenty would count by chance.
"""


def write_page(table: pd.DataFrame, page: Path, figure: Path) -> None:
    """Write the MyST text and draw the figure."""
    table = with_miscoverage(table)
    sets = [name for name in TITLES if name in set(table["data"])]
    parts = [INTRODUCTION, *_answers(table, sets), "### Differences to A0, paired by seed\n"]
    parts += [f"**{TITLES[data]}**\n\n{_differences(table, data)}\n" for data in sets]
    parts += ["### All arms\n"]
    parts += [f"**{TITLES[data]}**{_seeds(table, data)}\n\n{_means(table, data)}\n" for data in sets]
    if weighted := _weighted(table):
        parts += ["### Weight of the KL\n", *weighted]
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text("\n".join(parts))
    draw(table, sets, figure)


def _answers(table: pd.DataFrame, sets: list[str]) -> list[str]:
    """A table for each question: a row for each comparison, a column for each data set."""
    parts = ["### The questions and their answers\n"]
    if found := _asked(table, sets, CONTROL, same=True):
        parts += ["**A1 equal to A0 (if not, the harness is at fault)?**\n", found]
    for title, questions in QUESTIONS.items():
        if found := _asked(table, sets, questions, same=False):
            parts += [f"**{title}**\n", found]
    return parts


def _asked(table: pd.DataFrame, sets: list[str], questions: list[Question], *, same: bool) -> str:
    lines = [["comparison", "score", *sets]]
    for question in questions:
        found = [differences(table, data, question.one, question.other, question.metric) for data in sets]
        if any(len(difference) for difference in found):
            cells = [_answer(difference, question, same=same) for difference in found]
            lines.append([f"{question.one} − {question.other}", NAMES[question.metric], *cells])
    return markdown.table(lines) + "\n" if len(lines) > 1 else ""


def _answer(difference: np.ndarray, question: Question, *, same: bool) -> str:
    if not len(difference):
        return markdown.ABSENT
    word = sameness(difference, question.metric) if same else verdict(difference, question.sign)
    return f"{word} ({markdown.spread(difference, question.digits, '+')})"


def _differences(table: pd.DataFrame, data: str) -> str:
    return _table(table, data, lambda arm, metric: differences(table, data, arm, "A0", metric), signed=True)


def _means(table: pd.DataFrame, data: str) -> str:
    return _table(table, data, lambda arm, metric: values(table, data, arm, metric).to_numpy(), signed=False)


def _table(table: pd.DataFrame, data: str, of: Callable[[str, str], np.ndarray], *, signed: bool) -> str:
    """A row for each arm, a column for each metric that some arm has."""
    own = table[table["data"] == data]
    metrics = [name for name in METRICS if name in set(own["metric"])]
    lines = [["arm", *[METRICS[name][0] for name in metrics]]]
    for arm in _arms(own):
        if signed and arm == "A0":
            continue
        cells = [markdown.spread(of(arm, name), min(METRICS[name][1] + signed, 3), "+" * signed) for name in metrics]
        lines.append([ARMS.get(arm, arm), *cells])
    return markdown.table(lines)


def _arms(table: pd.DataFrame) -> list[str]:
    """Arms at KL weight 1, those of the ladder first."""
    there = [arm for arm in table["arm"].unique() if "*" not in arm]
    return [arm for arm in ARMS if arm in there] + sorted(set(there) - set(ARMS))


def _weighted(table: pd.DataFrame) -> list[str]:
    """For each data set with several weights of the KL, A0 and A2 at each, over the seeds that all have."""
    parts = []
    for data, own in table.groupby("data"):
        others = sorted({arm.split("*")[1] for arm in own["arm"] if "*" in arm}, key=float)
        if not others:
            continue
        arms = [
            f"{arm}*{beta}" if beta != "1" else arm
            for arm in ("A0", "A2")
            for beta in sorted(["1", *others], key=float)
        ]
        arms = [arm for arm in arms if arm in set(own["arm"])]
        seeds = set.intersection(*(set(own.loc[own["arm"] == arm, "seed"]) for arm in arms))
        kept = own[own["seed"].isin(seeds) & own["arm"].isin(arms)]
        metrics = [name for name in METRICS if name in set(kept["metric"])]
        lines = [["arm * weight", *[METRICS[name][0] for name in metrics]]]
        for arm in arms:
            found = [values(kept, str(data), arm, name).to_numpy() for name in metrics]
            cells = [markdown.spread(v, METRICS[m][1]) for v, m in zip(found, metrics, strict=True)]
            lines.append([arm.replace("*", " * ") if "*" in arm else f"{arm} * 1", *cells])
        parts.append(
            f"**{TITLES[str(data)]}**, seeds {', '.join(map(str, sorted(seeds)))}\n\n{markdown.table(lines)}\n"
        )
    return parts


def _seeds(table: pd.DataFrame, data: str) -> str:
    """Number of seeds, in words, if all arms have the same."""
    own = table[(table["data"] == data) & ~table["arm"].str.contains("*", regex=False)]
    counts = own.groupby("arm")["seed"].nunique()
    low, high = counts.min(), counts.max()
    return f", {low} seed{'s' if low > 1 else ''}" if low == high else f", {low} to {high} seeds"
