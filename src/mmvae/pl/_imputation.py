"""What was imputed beside what was measured. C cells, G features."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes

from ._finish import Drawn
from ._tables import Table, column_of

PANEL = (3.0, 3.0)
N_DRAWN, MOST_COMPARED = 8, 200


@dataclass(frozen=True)
class _Tables:
    """Frames of the same cells, ``truth`` and ``predicted``, and the ends of intervals or nothing."""

    truth: Table
    predicted: Table
    lower: Table | None
    upper: Table | None

    def of(self, feature: str) -> pd.DataFrame:
        """Columns ``truth``, ``predicted`` and, if there are any, ``lower`` and ``upper`` of one feature, by cell."""
        found = {name: column_of(table, feature) for name, table in vars(self).items() if table is not None}
        return pd.DataFrame(found).dropna()


def imputation(
    truth: Table,
    predicted: Table,
    lower: Table | None = None,
    upper: Table | None = None,
    *,
    features: str | Sequence[str] | None = None,
    log: bool = False,
    ncols: int = 4,
    ax: Axes | None = None,
    show: bool | None = None,
    save: str | os.PathLike[str] | None = None,
    return_fig: bool = False,
) -> Drawn:
    """Plot imputed values against those that were measured, with intervals, a panel for each feature.

    Dots on the diagonal are predicted right. A line through a dot's prediction is its interval; cells whose measured value is outside of it are
    red, and the title says how many are inside, and the correlation.

    Parameters
    ----------
    truth
        What was measured, cells by features, such as ``mdata["protein"]``, of the unit of ``predicted``.
    predicted
        What was imputed for these cells while it was withheld, such as ``model.impute("protein", indices)`` gives. Cells
        and features are matched by name.
    lower, upper
        Ends of intervals for the measured values, as ``predicted``.
    features
        Features to draw, in this order. By default eight whose correlations lie evenly between the worst and the best, of
        200 at the most.
    log
        Whether axes are logarithmic above 1, as is good for counts.
    ncols
        Panels beside each other.
    ax
        Axes to draw on, where there is one feature.
    show, save, return_fig
        As in :func:`mmvae.pl.spatial`.

    Returns
    -------
    The axes, if ``show`` is ``False``: one for one feature, else a list.

    Raises
    ------
    ValueError
        If cells or features do not match, or one end of the intervals is missing.

    Examples
    --------
    >>> held = np.flatnonzero(mdata.obsmap["protein"])[:500]
    >>> predicted = model.impute("protein", held)
    """
    tables = _Tables(truth, predicted, lower, upper)
    return None
