"""What was imputed beside what was measured. C cells, G features."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.axes import Axes

from mmvae._checks import COUNT, check_is, check_numbers, listed

from ._colours import BLUE, GREY, SKY, VERMILION
from ._finish import Drawn, finished, panels_in_rows, without_frame
from ._tables import Table, cells_of, column_of, features_of

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

    A dot is a cell, and those on the diagonal are right. The line through a dot is its interval; cells whose measured value
    is outside of it are red. The titles have the correlation, and the share of cells inside.

    Parameters
    ----------
    truth
        What was measured, cells by features, such as ``mdata["protein"]``, of the unit of ``predicted``.
    predicted
        What was imputed for these cells while it was withheld, as ``model.impute("protein", indices=cells)`` gives.
        Cells and features are matched by name.
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
    >>> held = model.validation_indices_
    >>> found = model.impute("protein", indices=held, library_size="latent", interval=0.9)
    >>> mmvae.pl.imputation(mdata["protein"], found.mean, found.lower_count, found.upper_count, log=True)
    """
    for argument, table in {"truth": truth, "predicted": predicted}.items():
        check_is(argument, table, pd.DataFrame, AnnData)
    tables = _Tables(truth, predicted, lower, upper)
    known = [name for name in features_of(predicted) if name in features_of(truth)]
    wanted = None if features is None else listed("features", features)
    faults = [*_faults(tables, known), *_unknown(wanted or (), known)]
    if ax is not None and (wanted is None or len(wanted) != 1):
        faults.append("Expected one feature with ax; name it.")
    check_numbers({"ncols": COUNT}, faults, ncols=ncols)
    drawn = _representative(tables, known) if wanted is None else list(wanted)
    axes = [ax] if ax is not None else panels_in_rows(len(drawn), ncols, PANEL)
    for panel, name in zip(axes, drawn, strict=True):
        _draw(panel, name, tables.of(name), log=log)
    return finished(axes if len(axes) > 1 else axes[0], show=show, save=save, return_fig=return_fig)


def _faults(tables: _Tables, known: Sequence[str]) -> Iterator[str]:
    n_cells = len(cells_of(tables.truth).intersection(cells_of(tables.predicted)))
    if not known or not n_cells:
        yield f"Expected truth and predicted of the same cells and features; they share {n_cells:,} cells and {len(known):,} features."
    if (tables.lower is None) != (tables.upper is None):
        yield "Expected both lower and upper; got one of them."


def _unknown(wanted: Sequence[str], known: Sequence[str]) -> Iterator[str]:
    if unknown := [name for name in wanted if name not in known]:
        close = [match for name in unknown for match in get_close_matches(name, known, n=2)]
        hint = f" Is it {close}?" if close else ""
        yield f"Expected features that truth and predicted have; got {unknown}.{hint}"


def _representative(tables: _Tables, features: Sequence[str]) -> list[str]:
    """Features whose correlations lie evenly between the best and the worst, the best first."""
    step = -(-len(features) // MOST_COMPARED)
    found = pd.Series({name: _correlation(tables.of(name)) for name in features[::step]}).fillna(0)
    ordered = found.sort_values(ascending=False, kind="stable").index
    return list(ordered[np.unique(np.linspace(0, len(ordered) - 1, N_DRAWN).astype(int))])


def _correlation(values: pd.DataFrame) -> float:
    """Pearson's, NaN where one of both is the same in all cells."""
    return values["truth"].corr(values["predicted"])


def _draw(panel: Axes, name: str, values: pd.DataFrame, *, log: bool) -> None:
    words = [f"r = {_correlation(values):.2f}"]
    is_inside = pd.Series(True, index=values.index)
    if "lower" in values:
        is_inside = values["truth"].between(values["lower"], values["upper"])
        panel.vlines(values["truth"], values["lower"], values["upper"], SKY, linewidth=0.6, alpha=0.5, zorder=1)
        words.append(f"{is_inside.mean():.0%} inside")
    for chosen, colour in ((is_inside, BLUE), (~is_inside, VERMILION)):
        panel.scatter(values["truth"][chosen], values["predicted"][chosen], 6, colour, linewidth=0, zorder=2)
    if log:
        panel.set(xscale="symlog", yscale="symlog")
    ends = values.to_numpy().min(), values.to_numpy().max()
    panel.plot(ends, ends, color=GREY, linestyle="--", linewidth=1, zorder=0)
    panel.set(title=f"{name}\n{', '.join(words)}", xlabel="measured", ylabel="imputed")
    without_frame(panel)
