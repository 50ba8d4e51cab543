"""Modality dropout: C cells, M modalities, S subsets of them."""

import itertools

import torch
from torch import Tensor, nn


class ModalityDropout(nn.Module):
    """Withhold modalities from the encoders in a random share of the cells that have several.

    Such a cell keeps a subset drawn uniformly from the proper, non-empty subsets of what it has. Without it, a model
    trained on complete cells may put what the modalities share in the latent of one of them, and fails on cells that
    have only the other.

    Parameters
    ----------
    n_modalities
        Number of modalities, M.
    rate
        Share of the cells with two or more modalities that lose some.
    """

    subsets: Tensor

    def __init__(self, n_modalities: int, rate: float) -> None:
        super().__init__()
        self.rate = rate
        subsets = [s for s in itertools.product((False, True), repeat=n_modalities) if any(s)]
        self.register_buffer("subsets", torch.tensor(subsets), persistent=False)

    def forward(self, present: Tensor) -> Tensor:
        """What each cell keeps of what is ``present``; both boolean, ``(n_cells, n_modalities)``."""
        inside = ~(self.subsets & ~present[:, None]).any(dim=2)
        proper = inside & (self.subsets.sum(dim=1) < present.sum(dim=1, keepdim=True))
        score = torch.rand(proper.shape, device=present.device).masked_fill(~proper, -1.0)
        drawn = self.subsets[score.argmax(dim=1)]
        lost = (torch.rand(len(present), 1, device=present.device) < self.rate) & proper.any(dim=1, keepdim=True)
        return torch.where(lost, drawn, present)
