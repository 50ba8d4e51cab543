"""What a section of the page is made of: sentences, tables and figures."""

from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from numbers import Integral, Real
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd

DPI, CSS_DPI = 160, 96
# Inches: of figures that are drawn for the page.
WIDTH = 4.4
STYLE = {"legend.fontsize": "small"}
MOST_ROWS = 40
# Text of more characters than this has a column of its own width, and is wrapped in it.
LONG = 30
# Numbers from here on have no decimals.
LARGE = 1_000


@dataclass(frozen=True)
class Note:
    """A sentence; ``tone`` is ``"plain"``, ``"good"``, ``"warning"`` or ``"failure"``."""

    text: str
    tone: str = "plain"
    kind = "note"


@dataclass(frozen=True)
class Table:
    """A frame without its index, with what it holds in a sentence; of very long ones the first rows.

    ``names`` are what columns are called on the page, where that is not what they are called in the frame.
    """

    frame: pd.DataFrame
    caption: str
    names: Mapping[str, str] = field(default_factory=dict)
    kind = "table"

    @property
    def heads(self) -> list[str]:
        """Names of the columns, in words."""
        return [self.names.get(str(name), str(name)) for name in self.frame]

    @property
    def rows(self) -> list[list[str]]:
        """Text of each value that is shown."""
        shown = self.frame.head(MOST_ROWS).itertuples(index=False, name=None)
        return [[text_of(value) for value in row] for row in shown]

    @property
    def rest(self) -> int:
        """Number of rows that are not shown."""
        return max(len(self.frame) - MOST_ROWS, 0)


@dataclass(frozen=True)
class Picture:
    """A figure as the text of a PNG, its width in pixels of the page, what it shows, and how to read it."""

    source: str
    width: int
    alt: str
    caption: str
    kind = "picture"


Block = Note | Table | Picture


def picture(draw: Callable[[], Any], alt: str, caption: str, *, formulas: bool = False) -> Picture:
    """The figure that ``draw`` returns, under matplotlib's own defaults; the user's, and their figures, are left alone.

    Names are text, whatever dollars they hold, unless there are ``formulas``, such as the powers on logarithmic axes.
    """
    before, buffer = set(plt.get_fignums()), BytesIO()
    style: list[Any] = ["default", STYLE | {"text.parse_math": formulas}]
    with plt.style.context(style), plt.ioff():
        try:
            draw().savefig(buffer, format="png", dpi=DPI, bbox_inches="tight")
        finally:
            for number in set(plt.get_fignums()) - before:
                plt.close(number)
    png = buffer.getvalue()
    # A PNG has its width in these bytes.
    width = int.from_bytes(png[16:20]) * CSS_DPI // DPI
    return Picture(f"data:image/png;base64,{b64encode(png).decode()}", width, alt, caption)


def panels(n_rows: int, height: float) -> Any:
    """Axes beneath each other, narrow enough for a phone."""
    return plt.subplots(n_rows, 1, figsize=(WIDTH, n_rows * height), layout="constrained")[1]


def text_of(value: object) -> str:
    """Whole numbers with commas, others with three digits, a dash for what is missing."""
    if value is None or value is pd.NA or value is pd.NaT or value != value:
        return "–"
    if isinstance(value, bool) or not isinstance(value, Real):
        return str(value)
    number = float(value)
    return f"{number:,.0f}" if isinstance(value, Integral) or abs(number) >= LARGE else f"{number:.3g}"
