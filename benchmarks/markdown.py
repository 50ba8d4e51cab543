"""Tables of the pages. S seeds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    import pandas as pd

ABSENT = "–"


def table(lines: Sequence[Sequence[str]], left: Collection[str] | None = None) -> str:
    """A table whose first line is the heading.

    Columns with a heading in ``left``, by default the first column, are aligned to the left, others to the right.
    """
    left = lines[0][:1] if left is None else left
    ruler = ["---" if heading in left else "---:" for heading in lines[0]]
    return "\n".join("| " + " | ".join(line) + " |" for line in [lines[0], ruler, *lines[1:]])


def spread(values: np.ndarray, digits: int = 3, flag: str = "") -> str:
    """Mean ± standard deviation of ``(S,)`` values; ``flag`` is ``"+"`` for a sign or ``","`` for thousands."""
    if not len(values):
        return ABSENT
    text = f"{values.mean():{flag}.{digits}f}"
    return text + (f" ± {values.std(ddof=1):{flag.strip('+')}.{digits}f}" if len(values) > 1 else "")


def by_set(
    scores: pd.DataFrame, sets: list[str], methods: list[str], cell: Callable[[np.ndarray], str] = spread
) -> str:
    """Rows of methods by columns of data sets, those that have scores, with a mean where all sets have some.

    Parameters
    ----------
    scores
        Rows of one metric.
    sets, methods
        Names, in the order in which they are shown.
    cell
        Text for the values of one method on one set, a value for each seed; there may be none.
    """
    sets = [name for name in sets if name in set(scores["data"])]
    lines = [["method", *sets, "mean"]]
    for method in (name for name in methods if name in set(scores["method"])):
        own = scores[scores["method"] == method]
        found = [own.loc[own["data"] == name, "value"].to_numpy() for name in sets]
        complete = all(len(values) for values in found)
        mean = f"{np.mean([values.mean() for values in found]):.3f}" if complete else ABSENT
        lines.append([method, *map(cell, found), mean])
    return table(lines)
