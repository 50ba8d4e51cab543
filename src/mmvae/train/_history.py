"""Metrics by epoch, over several trainings of a model."""

from collections.abc import Mapping

import pandas as pd

EPOCH = "epoch"
History = Mapping[str, pd.DataFrame]
"""By metric, a row for each epoch in which it was measured, whose number is the index; or for steps, where it is so named."""


def n_epochs(history: History | None) -> int:
    """How many epochs were begun."""
    return max((_end(rows) for rows in (history or {}).values() if rows.index.name == EPOCH), default=0)


def joined(before: History, new: History) -> dict[str, pd.DataFrame]:
    """One history of two, the epochs of ``new`` counted on.

    scvi-tools leaves out metrics that are new, and takes those that are not measured in each epoch for successive ones.
    """
    n_before, found = n_epochs(before), dict(before)
    for name, rows in new.items():
        earlier = [before[name]] if name in before else []
        start = n_before if rows.index.name == EPOCH else sum(map(_end, earlier))
        found[name] = pd.concat([*earlier, rows.set_axis(rows.index + start)])
    return found


def _end(rows: pd.DataFrame) -> int:
    return int(rows.index.max()) + 1 if len(rows) else 0
