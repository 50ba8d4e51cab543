"""Decoder: C cells, U fused dimensions, H hidden units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from scvi.nn import FCLayers
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Covariates:
    """What is known of each cell beside its modalities.

    ``batch`` has shape ``(n_cells, 1)``; ``categorical`` holds one such tensor per covariate; ``continuous``
    has shape ``(n_cells, n_continuous)`` or is ``None``.
    """

    batch: Tensor
    categorical: tuple[Tensor, ...] = ()
    continuous: Tensor | None = None

    def rows(self, index: Tensor) -> Covariates:
        """The cells that ``index`` selects."""
        continuous = None if self.continuous is None else self.continuous[index]
        return Covariates(self.batch[index], tuple(c[index] for c in self.categorical), continuous)


class Decoder(nn.Module):
    """From the fused latent and the covariates to the hidden layer that a likelihood reads.

    The batch enters here and nowhere else, so that the latent need not carry it.

    Parameters
    ----------
    n_input
        Width of the fused latent, U.
    n_categories
        Number of categories of the batch and of every categorical covariate.
    n_continuous
        Number of continuous covariates.
    n_hidden
        Width of the hidden layers, H.
    n_layers
        Number of hidden layers.
    dropout_rate
        Probability with which a hidden unit is dropped in training.
    """

    def __init__(
        self,
        n_input: int,
        *,
        n_categories: Sequence[int],
        n_continuous: int,
        n_hidden: int,
        n_layers: int,
        dropout_rate: float,
    ) -> None:
        super().__init__()
        self.layers = FCLayers(
            n_input,
            n_hidden,
            n_cat_list=list(n_categories),
            n_cont=n_continuous,
            n_layers=n_layers,
            n_hidden=n_hidden,
            dropout_rate=dropout_rate,
            use_batch_norm=False,
            use_layer_norm=True,
        )

    def forward(self, fused: Tensor, covariates: Covariates) -> Tensor:
        """Hidden activations, shape ``(n_cells, n_hidden)``."""
        return self.layers(fused, covariates.batch, *covariates.categorical, cont=covariates.continuous)
