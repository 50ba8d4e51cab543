"""Predictor of a missing latent from the present ones: C cells, M modalities, D latent dimensions."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.distributions import Normal

if TYPE_CHECKING:
    from collections.abc import Mapping

LOG_VAR_RANGE = (-8.0, 3.0)


class Predictor(nn.Module):
    r"""Pairwise predictors, combined as a product of experts.

    .. math:: r(z_t \mid z_S) \propto \prod_{s \in S} N(z_t;\, m_{st}(z_s), \operatorname{diag} v_{st}(z_s))

    One small network per ordered pair of modalities that some training cells share. Pairs, rather than one
    network with a mask as input, because in a mosaic many combinations are never seen together: a network asked
    for protein given rna and atac, trained on cells that have at most two of the three, would extrapolate.

    Parameters
    ----------
    n_latent
        Latent dimensions of each modality.
    n_hidden
        Width of the hidden layer of each pair's network.
    """

    linked: Tensor

    def __init__(self, n_latent: Mapping[str, int], *, n_hidden: int = 64) -> None:
        super().__init__()
        self.names = list(n_latent)
        self.networks = nn.ModuleDict(
            {
                f"{source}->{target}": nn.Sequential(
                    nn.Linear(n_latent[source], n_hidden), nn.ReLU(), nn.Linear(n_hidden, 2 * n_latent[target])
                )
                for source in self.names
                for target in self.names
                if source != target
            }
        )
        shape = (len(self.names), len(self.names))
        self.register_buffer("linked", torch.ones(shape, dtype=torch.bool))

    def link(self, linked: Tensor) -> None:
        """Say which pairs of modalities share cells, shape ``(n_modalities, n_modalities)``; others are not used."""
        self.linked.copy_(linked)

    def sources(self, target: str, available: Tensor) -> Tensor:
        """Which modalities inform ``target`` in each cell, boolean, shape ``(n_cells, n_modalities)``."""
        index = self.names.index(target)
        use = available & self.linked[:, index]
        use[:, index] = False
        return use

    def forward(self, target: str, latents: Mapping[str, Tensor], use: Tensor) -> Normal:
        """Prediction of ``target`` from the latents that ``use`` marks.

        Parameters
        ----------
        target
            Name of the modality to predict.
        latents
            A value per modality, ``(n_cells, n_latent)``; rows that ``use`` does not mark are ignored.
        use
            Boolean, ``(n_cells, n_modalities)``; each row must mark at least one modality.

        Returns
        -------
        Normal of batch shape ``(n_cells, n_latent of target)``.
        """
        precision: Tensor | float = 0.0
        weighted: Tensor | float = 0.0
        for index, source in enumerate(self.names):
            if source == target:
                continue
            loc, log_var = self.networks[f"{source}->{target}"](latents[source]).chunk(2, dim=-1)
            share = torch.exp(-log_var.clamp(*LOG_VAR_RANGE)) * use[:, index, None]
            precision = precision + share
            weighted = weighted + share * torch.where(use[:, index, None], loc, 0.0)
        return Normal(weighted / precision, cast("Tensor", precision).rsqrt(), validate_args=False)
