"""What the set-up took, as a table."""

from typing import Literal

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mmvae.data._access import pattern_names

from ._columns import Column
from ._result import Setup

COLUMNS: tuple[tuple[str, Literal["left", "right"]], ...] = (
    ("modality", "left"),
    ("cells", "right"),
    ("features", "right"),
    ("layer", "left"),
    ("likelihood", "left"),
    ("why", "left"),
)


def print_setup(setup: Setup, *, console: Console | None = None) -> None:
    """Print the modalities, the missing patterns and the notes."""
    console = console or Console()
    assert setup.presence is not None  # only faults leave it out, and those were raised
    console.print(_modality_table(setup, len(setup.presence)))
    patterns, counts = np.unique(pattern_names(setup.presence, setup.names), return_counts=True)
    order = np.argsort(-counts)
    shown = ", ".join(f"{patterns[i]}: {counts[i]:,}" for i in order[:8])
    # As Text: names may look like rich's markup, or its names of emojis.
    console.print(Text(f"Cells by what they have: {shown}"))
    for column in setup.columns:
        console.print(Text(_column_line(column)))
    for note in setup.notes:
        console.print(Text(f"Note: {note}", style="yellow"))


def _column_line(column: Column) -> str:
    what = column.role.replace("_", " ") + (f" of {column.detail}" if column.detail else "")
    return f"{what.capitalize()}: '{column.key}'{_column_content(column)}"


def _column_content(column: Column) -> str:
    if column.role == "size_factor":
        return ""
    if column.role == "continuous":
        return f", standardised: mean {column.scale.mean:.4g}, standard deviation {column.scale.sd:.4g}"
    return f", {column.values.nunique()} categories"


def _modality_table(setup: Setup, n_cells: int) -> Table:
    table = Table(title=f"MultiVAE: {n_cells:,} cells")
    for title, justify in COLUMNS:
        table.add_column(title, justify=justify)
    for m in setup.modalities:
        cells = (m.name, f"{m.n_cells:,}", f"{m.n_features:,}", m.layer or "X", m.likelihood_name, m.why)
        table.add_row(*map(Text, cells))
    return table
