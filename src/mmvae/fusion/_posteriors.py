"""What the encoders hand to a fusion: C cells, M modalities, D_m latent dimensions of modality m, L of all together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import torch
from torch import Tensor
from torch.distributions import Normal

ALL_PATTERNS_UP_TO = 3
"""Modalities of which all missing patterns are few: to look for those of a minibatch is to wait for the device."""


@dataclass(frozen=True)
class ObservedDims:
    """Which dimensions of the concatenated latents the encoders set.

    ``mask`` is boolean, ``(n_cells, L)``. ``patterns`` holds each row that may occur in it, ``(n_patterns, L)``, and
    ``pattern`` which of them is a cell's, ``(n_cells,)``.
    """

    mask: Tensor
    patterns: Tensor
    pattern: Tensor


@dataclass(frozen=True)
class Posteriors:
    """Each modality's posterior of every cell.

    ``normals[m]`` has batch shape ``(n_cells, D_m)``, whatever the cells have: N(0, I) stands where the modality is
    missing or was dropped, so that shapes stay the same from step to step. ``encoded`` says where it is one,
    boolean, ``(n_cells, n_modalities)``, its columns in the order of ``normals``. ``is_complete`` is true where it is
    known, without a look at the device, that every cell has every modality.
    """

    normals: Mapping[str, Normal]
    encoded: Tensor
    is_complete: bool = False

    @classmethod
    def masked(cls, normals: Mapping[str, Normal], encoded: Tensor) -> Self:
        """From distributions of every cell, of which those that ``encoded`` does not mark are replaced by N(0, I)."""
        kept, missing = {}, (~encoded).split(1, dim=1)
        for lacks, (name, q) in zip(missing, normals.items(), strict=True):
            loc, scale = q.loc.masked_fill(lacks, 0.0), q.scale.masked_fill(lacks, 1.0)
            kept[name] = Normal(loc, scale, validate_args=False)
        return cls(kept, encoded)

    @classmethod
    def together(cls, parts: Sequence[Self]) -> Self:
        """Those of several minibatches."""
        normals = {}
        for name in parts[0].normals:
            own = [part.normals[name] for part in parts]
            loc, scale = torch.cat([q.loc for q in own]), torch.cat([q.scale for q in own])
            normals[name] = Normal(loc, scale, validate_args=False)
        return cls(normals, torch.cat([part.encoded for part in parts]), all(part.is_complete for part in parts))

    def mask(self, name: str) -> Tensor:
        """Which cells have a posterior of modality ``name``, boolean, ``(n_cells,)``."""
        return self.encoded[:, list(self.normals).index(name)]

    @cached_property
    def joined(self) -> Normal:
        """The concatenation of all, batch shape ``(n_cells, L)``."""
        loc = torch.cat([q.loc for q in self.normals.values()], dim=-1)
        return Normal(loc, torch.cat([q.scale for q in self.normals.values()], dim=-1), validate_args=False)

    def by_dimension(self, marks: Tensor) -> Tensor:
        """Marks of modalities, ``(n_cells, n_modalities)``, as marks of the dimensions of :attr:`joined`, ``(n_cells, L)``."""
        widths = [q.loc.shape[-1] for q in self.normals.values()]
        columns = marks.split(1, dim=1)
        return torch.cat([column.expand(-1, width) for column, width in zip(columns, widths, strict=True)], dim=1)

    @cached_property
    def observed_dims(self) -> ObservedDims:
        """What the encoders set of :attr:`joined`."""
        powers = 2 ** torch.arange(self.encoded.shape[1], device=self.encoded.device)
        pattern = (self.encoded * powers).sum(dim=1)
        codes = torch.arange(2 ** len(powers), device=powers.device)
        if len(powers) > ALL_PATTERNS_UP_TO:
            codes, pattern = torch.unique(pattern, return_inverse=True)
        return ObservedDims(self.by_dimension(self.encoded), self.by_dimension((codes[:, None] & powers) > 0), pattern)
