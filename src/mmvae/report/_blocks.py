"""What a section of the page is made of: sentences, tables and figures."""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from numbers import Integral, Real

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

DPI, CSS_DPI = 160, 96
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
    """A frame without its index, with what it holds in a sentence; of very long ones the first rows."""

    frame: pd.DataFrame
    caption: str
    kind = "table"

    @property
    def heads(self) -> list[str]:
        """Names of the columns, in words."""
        return [str(name).replace("_", " ") if str(name).isidentifier() else str(name) for name in self.frame]

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


def picture(draw: Callable[[Figure], object], size: tuple[float, float], alt: str, caption: str) -> Picture:
    """What ``draw`` puts on a figure of ``size`` in inches, under matplotlib's defaults; the user's are left alone."""
    with plt.style.context("default"), plt.ioff():
        figure = plt.figure(figsize=size, layout="constrained")
        try:
            draw(figure)
            buffer = BytesIO()
            figure.savefig(buffer, format="png", dpi=DPI)
        finally:
            plt.close(figure)
    source = f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    return Picture(source, round(size[0] * CSS_DPI), alt, caption)


def text_of(value: object) -> str:
    """Whole numbers with commas, others with three digits, a dash for what is missing."""
    if value is None or value is pd.NA or value is pd.NaT or value != value:
        return "–"
    if isinstance(value, bool) or not isinstance(value, Real):
        return str(value)
    number = float(value)
    return f"{number:,.0f}" if isinstance(value, Integral) or abs(number) >= LARGE else f"{number:.3g}"
