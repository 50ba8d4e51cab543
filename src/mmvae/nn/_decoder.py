"""Decoder: C cells, U fused dimensions, H hidden units."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Covariates:
    """Batch and further covariates of each cell, which the decoders see.

    ``batch`` has shape ``(n_cells, 1)``; ``categorical`` holds one such tensor per covariate; ``continuous`` has shape
    ``(n_cells, n_continuous)`` or is ``None``.
    """

    batch: Tensor
    categorical: tuple[Tensor, ...] = ()
    continuous: Tensor | None = None

    def take(self, rows: Tensor) -> Self:
        """The cells of these numbers, ``(n_rows,)``."""
        continuous = None if self.continuous is None else self.continuous[rows]
        return type(self)(self.batch[rows], tuple(c[rows] for c in self.categorical), continuous)


class CategoryTable(nn.Module):
    """One vector of width ``n_output`` for each category, looked up by code; entries start within ``bound`` of 0.

    A table of its own for every covariate, categories last: a query's new categories are appended there, and neither
    the reference's categories nor another covariate's move.
    """

    def __init__(self, n_output: int, n_categories: int, bound: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(nn.init.uniform_(Tensor(n_output, n_categories), -bound, bound))

    def forward(self, codes: Tensor) -> Tensor:
        """Vectors of the categories ``codes``, ``(n_cells, 1)``, as ``(n_cells, n_output)``."""
        return nn.functional.embedding(codes.squeeze(1).long(), self.weight.mT)


class Decoder(nn.Module):
    """From the fused latent and the covariates to the hidden layer that a likelihood reads.

    The batch enters here and nowhere else, so that the latent need not carry it. ``n_categories`` are those of the
    batch and of every categorical covariate, ``n_continuous`` the number of continuous ones.
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
