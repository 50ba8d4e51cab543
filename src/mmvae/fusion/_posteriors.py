"""What the encoders hand to a fusion: C cells, M modalities, D_m latent dimensions of modality m, L of all together."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch.distributions import Normal


@dataclass(frozen=True)
class ObservedDims:
    """Which dimensions of the concatenated latents the encoders set.

    ``mask`` is boolean, ``(n_cells, L)``. ``patterns`` holds each row that occurs in it, boolean, ``(L,)``, with the
    numbers of the cells that have it.
    """

    mask: Tensor
    patterns: tuple[tuple[Tensor, Tensor], ...]


@dataclass(frozen=True)
class Posteriors:
    """Each modality's posterior of every cell.

    ``normals[m]`` has batch shape ``(n_cells, D_m)``, whatever the cells have: N(0, I) stands where the modality is
    missing or was dropped, so that shapes stay the same from step to step. ``encoded`` says where it is one,
    boolean, ``(n_cells, n_modalities)``, its columns in the order of ``normals``.
    """

    normals: Mapping[str, Normal]
    encoded: Tensor

    def mask(self, name: str) -> Tensor:
        """Which cells have a posterior of modality ``name``, boolean, ``(n_cells,)``."""
        return self.encoded[:, list(self.normals).index(name)]

    @cached_property
    def observed_dims(self) -> ObservedDims:
        """What the encoders set of the concatenation of all latents."""
        widths = torch.tensor([q.loc.shape[-1] for q in self.normals.values()], device=self.encoded.device)
        powers = 2 ** torch.arange(len(self.normals), device=self.encoded.device)
        codes, pattern = torch.unique((self.encoded * powers).sum(dim=1), return_inverse=True)
        sets = (codes[:, None] & powers) > 0
        return ObservedDims(
            self.encoded.repeat_interleave(widths, dim=1),
            tuple(
                (dims, (pattern == index).nonzero(as_tuple=True)[0])
                for index, dims in enumerate(sets.repeat_interleave(widths, dim=1))
            ),
        )
