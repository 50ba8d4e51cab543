"""mmvae beside each peer, on the data sets that both take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._tables import METHODS, OWN, TITLES, columns_of, written

if TYPE_CHECKING:
    import pandas as pd

HEADING = ["method", "sets", "its mean", "mmvae's mean", "mmvae less it, at worst", "where"]


def pairs(table: pd.DataFrame) -> str:
    """A row for each peer: both means over their common data sets, and the set on which mmvae does worst beside it.

    Parameters
    ----------
    table
        Rows of one metric, in the column ``value``; the first readout of mmvae is taken.
    """
    by_set = table.groupby(["method", "readout", "data"])["value"].mean()
    keys = list(columns_of(table))
    own_key = next((key for key in keys if key[0] == OWN), None)
    if own_key is None:
        return "No runs of mmvae yet."
    lines = [HEADING]
    for method, readout in (key for key in keys if key[0] != OWN):
        own, other = by_set[own_key].align(by_set[method, readout], join="inner")
        if len(own):
            less = own - other
            where = TITLES[less.idxmin()].split(",")[0]
            means = [f"{other.mean():.3f}", f"{own.mean():.3f}"]
            lines.append([METHODS[method], str(len(own)), *means, f"{less.min():+.3f}", where])
    return written(lines)
