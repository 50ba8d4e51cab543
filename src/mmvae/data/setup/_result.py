"""What an inspection of the data found."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mmvae._errors import SetupError
from mmvae.data._statistics import Moments

from ._columns import Column
from ._feature_types import Kind


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
