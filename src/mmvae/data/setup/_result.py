"""What an inspection of the data found, and how it is printed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from anndata import AnnData
from mudata import MuData
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mmvae._errors import SetupError
from mmvae.data._access import modalities_of, pattern_names
from mmvae.data._matrix import Matrix, values_of

from ._columns import Column, Scale
from ._kinds import Kind
from ._scan import Moments


@dataclass(frozen=True)
class ModalitySetup:
    """What was taken of one modality, with its features' moments where they were computed on the way."""

    name: str
    kind: Kind
    layer: str | None
    likelihood: Any
    why: str
    n_cells: int
    n_features: int
    moments: Moments | None = field(default=None, compare=False, repr=False)

    @property
    def likelihood_name(self) -> str:
        """Name of the likelihood, however it was given."""
        return self.likelihood["name"] if isinstance(self.likelihood, Mapping) else self.likelihood


@dataclass
class Setup:
    """Result of :func:`inspect`."""

    modalities: list[ModalitySetup] = field(default_factory=list)
    columns: list[Column] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unlabelled: str = "unknown"
    presence: np.ndarray | None = None

    @property
    def names(self) -> list[str]:
        """Names of the modalities, in the data's order."""
        return [m.name for m in self.modalities]

    def raise_faults(self) -> None:
        """Raise all faults as one :class:`~mmvae.SetupError`, if there are any."""
        if self.faults:
            raise SetupError(self.faults)


def matrices_of(data: AnnData | MuData, setup: Setup) -> list[Matrix]:
    """Values that were taken of each modality."""
    modalities = modalities_of(data, {name: name for name in setup.names})
    return [values_of(modalities[m.name], m.layer) for m in setup.modalities]


def print_setup(setup: Setup) -> None:
    """Print the modalities, the missing patterns and the notes."""
    console = Console()
    assert setup.presence is not None  # only faults leave it out, and those were raised
    table = Table(title=f"MultiVAE: {len(setup.presence):,} cells")
    for title in ("modality", "cells", "features", "layer", "likelihood", "why"):
        table.add_column(title, justify="right" if title in ("cells", "features") else "left")
    for m in setup.modalities:
        cells = (m.name, f"{m.n_cells:,}", f"{m.n_features:,}", m.layer or "X", m.likelihood_name, m.why)
        # As Text, here and below: names may look like rich's markup, or its names of emojis.
        table.add_row(*map(Text, cells))
    console.print(table)
    patterns, counts = np.unique(pattern_names(setup.presence, setup.names), return_counts=True)
    shown = ", ".join(f"{patterns[i]}: {counts[i]:,}" for i in np.argsort(-counts)[:8])
    console.print(Text(f"Cells by what they have: {shown}"))
    for column in setup.columns:
        console.print(Text(_column_line(column)))
    for note in setup.notes:
        console.print(Text(f"Note: {note}", style="yellow"))


def _column_line(column: Column) -> str:
    what = column.role.replace("_", " ") + (f" of {column.detail}" if column.detail else "")
    line = f"{what.capitalize()}: '{column.key}'"
    if column.role == "size_factor":
        return line
    if column.role == "continuous":
        scale = Scale.of(column.values)
        return f"{line}, standardised: mean {scale.mean:.4g}, standard deviation {scale.sd:.4g}"
    return f"{line}, {column.values.nunique()} categories"
