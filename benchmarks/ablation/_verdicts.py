"""Differences between arms, paired by seed, and the answers to the questions that were asked before any run.

S seeds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.stats import t as student

if TYPE_CHECKING:
    import pandas as pd

CONFIDENCE = 0.95
NOMINAL = 0.9
SAME_NATS = 0.5


class Question(NamedTuple):
    """Is arm ``one`` better than ``other`` by ``metric``? ``sign`` is 1 where more is better, -1 where less is."""

    one: str
    other: str
    metric: str
    sign: int
    digits: int = 3


BOUND, PRIOR_FIT, JOINT_FIT = ("iwae", 1, 2), ("c2st", -1, 3), ("c2st_joint", -1, 3)
PEARSON, NLL, MISCOVERAGE, FOSCTTM = ("pearson", 1, 3), ("nll", -1, 2), ("miscoverage", -1, 3), ("foscttm", -1, 3)
BIO, ARI, ARI_SHARED, TRANSFER = ("bio", 1, 3), ("ari", 1, 3), ("ari_shared", 1, 3), ("transfer", 1, 3)


def _asked(pairs: list[tuple[str, str]], metrics: list[tuple[str, int, int]]) -> list[Question]:
    return [Question(one, other, *metric) for one, other in pairs for metric in metrics]


QUESTIONS = {
    "A2 better than A0 (a mixture for each modality against N(0, I))?": _asked([("A2", "A0")], [BOUND, PRIOR_FIT]),
    "A2 better than A3 (a mixture for each modality against one for all)?": _asked(
        [("A2", "A3")], [BOUND, PRIOR_FIT, NLL]
    ),
    "A4 better than A2 (coupled against independent)?": _asked(
        [("A4g", "A2"), ("A4f", "A2")], [BOUND, JOINT_FIT, NLL, PEARSON, MISCOVERAGE, FOSCTTM]
    ),
    "A4 better than A5, the same weights with the coupling taken out at test time?": _asked(
        [("A4g", "A5g"), ("A4f", "A5f")], [BOUND, NLL, PEARSON, MISCOVERAGE, FOSCTTM]
    ),
    "A5 worse than A2, whose fill is a predictor?": _asked([("A2", "A5g"), ("A2", "A5f")], [NLL, PEARSON, FOSCTTM]),
    "Do the learned priors change what an embedding keeps of cell types?": _asked(
        [("A2", "A0"), ("A3", "A0"), ("A4g", "A0"), ("A4f", "A0")], [BIO, ARI, ARI_SHARED, TRANSFER]
    ),
}
CONTROL = _asked([("A1", "A0")], [BOUND, PRIOR_FIT, PEARSON, BIO, FOSCTTM])


def with_miscoverage(table: pd.DataFrame) -> pd.DataFrame:
    """The table with the distance of coverage from 90% as a metric of its own."""
    import pandas as pd

    own = table[table["metric"] == "coverage"]
    return pd.concat([table, own.assign(metric="miscoverage", value=(own["value"] - NOMINAL).abs())])


def values(table: pd.DataFrame, data: str, arm: str, metric: str) -> pd.Series:
    """Value of each seed."""
    rows = table[(table["data"] == data) & (table["arm"] == arm) & (table["metric"] == metric)]
    return rows.set_index("seed")["value"].dropna()


def differences(table: pd.DataFrame, data: str, one: str, other: str, metric: str) -> np.ndarray:
    """One arm less the other, for each seed that both have, ``(S,)``."""
    first, second = (values(table, data, arm, metric) for arm in (one, other))
    return (first - second).dropna().to_numpy()


def half_width(difference: np.ndarray) -> float:
    """Half of the 95% interval of the mean difference, by Student's t; infinite for one seed."""
    n = len(difference)
    if n < 2:
        return float("inf")
    return float(student.ppf((1 + CONFIDENCE) / 2, n - 1) * difference.std(ddof=1) / np.sqrt(n))


def verdict(difference: np.ndarray, sign: int) -> str:
    """``yes`` or ``no, worse`` if the interval of the mean leaves out 0, else ``within noise``."""
    if len(difference) < 2:
        return "one seed"
    mean = float(difference.mean())
    if abs(mean) <= half_width(difference):
        return "within noise"
    return "yes" if mean * sign > 0 else "no, worse"


def sameness(difference: np.ndarray, metric: str) -> str:
    """``yes`` if the interval of the mean holds 0, or a mean bound differs by less than half a nat."""
    if len(difference) < 2:
        return "one seed"
    near = metric == "iwae" and abs(difference.mean()) < SAME_NATS
    return "yes" if near or abs(difference.mean()) <= half_width(difference) else "no"
