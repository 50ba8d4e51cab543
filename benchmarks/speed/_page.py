"""The page: a table for each part and machine, with the median over rounds, the range, and the peer beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from benchmarks import markdown

from ._methods import METHODS
from ._rows import MACHINE
from ._simulated import N_GENES

if TYPE_CHECKING:
    import pandas as pd

RUN = ["data", "n_cells", "n_features", "batch_size"]
LEFT = ["data", "method", "growing"]
FEWEST_SIZES = 4


class Column(NamedTuple):
    """A metric, its heading, and digits; ``beside`` heads a column of the peer's values over these."""

    metric: str
    heading: str
    digits: int = 2
    beside: str = ""


TABLES = {
    "equal": (
        "An epoch at equal features, widths, layers and batch size, and the latent of all cells",
        (
            Column("epoch", "seconds an epoch", beside="peer's epoch over it"),
            Column("latent", "seconds for the latent", beside="peer's latent over it"),
            Column("card_mb", "MB on the card", 0),
            Column("busy", "share of time that the card is busy"),
        ),
    ),
    "default": (
        "`train` with the defaults of each method",
        (
            Column("setup", "seconds of set-up"),
            Column("train", "seconds to its own end", 0, "peer's over it"),
            Column("n_epochs", "epochs", 0),
            Column("bio", "bio-conservation in the end", 3),
            Column("within", "seconds to within 1% of that", 0, "peer's over them"),
            Column("lasting", "seconds until it stays there", 0, "peer's over these"),
        ),
    ),
    "memory": (
        "Peak memory of set-up, training and latent, beside the data, with the defaults of each method",
        (
            Column("data_mb", "MB of the data", 0),
            Column("host_mb", "MB beyond them", 0),
            Column("growth_mb", "MB more from the second epoch to the last", 0),
            Column("card_mb", "MB on the card", 0),
        ),
    ),
}


def page(rows: pd.DataFrame) -> str:
    """Everything that was measured, by machine."""
    parts = []
    for (processor, threads, versions), own in rows.groupby(MACHINE, sort=False):
        parts.append(f"**{processor}**, {threads} threads, {versions}:")
        for part, (title, columns) in TABLES.items():
            if len(found := own[own["part"] == part]):
                parts.append(f"{title}:\n\n{_table(found, columns)}")
        if len(found := own[own["part"] == "growth"]):
            parts.append(f"Growth of an epoch's time with simulated cells and peaks:\n\n{growth(found)}")
    return "\n\n".join(parts) + "\n"


def _table(rows: pd.DataFrame, columns: tuple[Column, ...]) -> str:
    """A row for each data set, size and method; columns that no row has are left out."""
    found = [column for column in columns if column.metric in set(rows["metric"])]
    with_batch = bool(rows["batch_size"].any())
    heading = ["data", "cells", *(["batch size"] if with_batch else []), "method", "rounds"]
    lines = [heading + [text for column in found for text in (column.heading, column.beside) if text]]
    for (data, n_cells, _, batch_size), own in rows.groupby(RUN, sort=False):
        for method, mine in own.groupby("method", sort=False):
            line = [data, f"{n_cells:,}", *([f"{batch_size:,}"] if with_batch else []), method]
            line.append(str(mine["round"].nunique()))
            lines.append(line + [text for column in found for text in _cells(column, own, mine)])
    return markdown.table(lines, LEFT)


def _cells(column: Column, rows: pd.DataFrame, mine: pd.DataFrame) -> list[str]:
    """The median with its range, and the peer's median over it if the column wants that."""
    values = _values(mine, column.metric)
    texts = [spread(values, column.digits)]
    if column.beside:
        theirs = _values(rows[rows["method"].map(_is_peer)], column.metric)
        ratio = np.median(theirs) / np.median(values) if len(theirs) and len(values) else None
        texts.append(markdown.ABSENT if ratio is None else f"{ratio:.2f}")
    return texts


def growth(rows: pd.DataFrame) -> str:
    """The slope of log time over log size, of the medians and of each round, and the times that it is of."""
    lines = [["growing", "batch size", "method", "rounds", "seconds an epoch", "slope"]]
    for (growing, batch_size, method), own in rows.groupby(["data", "batch_size", "method"], sort=False):
        epochs = own[own["metric"] == "epoch"]
        size = (epochs["n_cells"] if growing == "cells" else epochs["n_features"] - N_GENES).rename("size")
        medians = epochs.groupby(size)["value"].median()
        slopes = [slope(mine.groupby(size)["value"].median()) for _, mine in epochs.groupby("round")]
        times = ", ".join(f"{seconds:.2f} of {n:,}" for n, seconds in medians.items())
        text = markdown.ABSENT if (found := slope(medians)) is None else f"{found:.2f}"
        if len(known := [value for value in slopes if value is not None]) > 1:
            text += f" ({min(known):.2f} to {max(known):.2f})"
        lines.append([growing, f"{batch_size:,}", method, str(own["round"].nunique()), times, text])
    return markdown.table(lines, LEFT)


def slope(seconds: pd.Series) -> float | None:
    """Slope of the logarithm of time over that of size, by which ``seconds`` are indexed; ``None`` of too few sizes."""
    if len(seconds) < FEWEST_SIZES:
        return None
    return float(np.polyfit(np.log(seconds.index.to_numpy(dtype=float)), np.log(seconds.to_numpy()), 1)[0])


def spread(values: np.ndarray, digits: int) -> str:
    """The median, and the range if there are several."""
    if not len(values):
        return markdown.ABSENT
    # Not "-0".
    median, low, high = (f"{round(value, digits) + 0.0:,.{digits}f}" for value in np.percentile(values, [50, 0, 100]))
    return median if len(values) == 1 else f"{median} ({low} to {high})"


def _values(rows: pd.DataFrame, metric: str) -> np.ndarray:
    return rows.loc[rows["metric"] == metric, "value"].dropna().to_numpy()


def _is_peer(method: str) -> bool:
    return bool(METHODS[method].peer) and METHODS[method].is_default
