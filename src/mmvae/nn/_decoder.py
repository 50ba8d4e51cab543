"""Decoder: C cells, U fused dimensions, H hidden units."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ._covariates import Covariates
from ._table import CategoryTable


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
        Width of the hidden layer, H.
    """

    def __init__(self, n_input: int, *, n_categories: Sequence[int], n_continuous: int, n_hidden: int) -> None:
        super().__init__()
        # The scale at which torch starts one layer of all inputs, categories as one-hot vectors.
        bound = (n_input + n_continuous + sum(n_categories)) ** -0.5
        self.input = nn.Linear(n_input + n_continuous, n_hidden)
        for parameter in self.input.parameters():
            nn.init.uniform_(parameter, -bound, bound)
        self.tables = nn.ModuleList(CategoryTable(n_hidden, n, bound) for n in n_categories)
        self.norm = nn.LayerNorm(n_hidden, elementwise_affine=False)

    def forward(self, fused: Tensor, covariates: Covariates) -> Tensor:
        """Hidden activations, shape ``(n_cells, n_hidden)``."""
        numbers = covariates.continuous
        hidden = self.input(fused if numbers is None else torch.cat([fused, numbers.to(fused)], dim=-1))
        for table, codes in zip(self.tables, (covariates.batch, *covariates.categorical), strict=True):
            hidden = hidden + table(codes)
        return torch.relu(self.norm(hidden))
