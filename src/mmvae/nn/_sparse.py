"""Rows of a sparse matrix by their non-zeros: C rows, G columns, N stored values, H outputs."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable

# Above this share of stored values a dense product is the quicker way to the gradient.
DENSE_FROM = 0.02


@dataclass(frozen=True)
class Places:
    """Where the values of sparse rows are; what is found of them is found once.

    ``columns``, ``(N,)``, holds the rows one after the other; row c has those from ``starts[c]`` up to ``starts[c + 1]``,
    ``(C + 1,)``. A column occurs at most once in a row.
    """

    columns: Tensor
    starts: Tensor
    n_columns: int

    @cached_property
    def rows(self) -> Tensor:
        """The row of each value, ``(N,)``."""
        # Told how many there will be, torch does not ask the device.
        return torch.repeat_interleave(self.starts.diff(), output_size=len(self.columns))

    @cached_property
    def in_matrix(self) -> Tensor:
        """The place of each value in the matrix, its rows one after the other, ``(N,)``."""
        return torch.add(self.columns, self.rows, alpha=self.n_columns)

    @cached_property
    def by_column(self) -> tuple[Tensor, Tensor]:
        """Numbers of the values in the order of their columns, ``(N,)``, and where each column starts, ``(G + 1,)``."""
        counts = self.starts.new_zeros(self.n_columns + 1)
        counts.index_add_(0, self.columns + 1, torch.ones_like(self.columns))
        return self.columns.argsort(), counts.cumsum(0)


@dataclass(frozen=True)
class SparseRows:
    """Rows in compressed form, of which no more is computed than what is stored: ``values``, ``(N,)``, at ``places``."""

    values: Tensor
    places: Places

    def __len__(self) -> int:
        return len(self.places.starts) - 1

    @property
    def n_columns(self) -> int:
        """Number of columns, G."""
        return self.places.n_columns

    @property
    def columns(self) -> Tensor:
        """The column of each value, ``(N,)``."""
        return self.places.columns

    @property
    def rows(self) -> Tensor:
        """The row of each value, ``(N,)``."""
        return self.places.rows

    @property
    def density(self) -> float:
        """Share of the values that are stored."""
        return len(self.values) / max(len(self) * self.n_columns, 1)

    def apply(self, function: Callable[[Tensor], Tensor]) -> Self:
        """The rows with a function, whose value at 0 is 0, of their values."""
        return replace(self, values=function(self.values))

    def row_sums(self, values: Tensor | None = None) -> Tensor:
        """Sums of the rows, or of other ``values`` at the same places, ``(n_rows,)``."""
        values = self.values if values is None else values
        if values.device.type not in ("cpu", "cuda"):  # others lack the quicker operation
            return values.new_zeros(len(self)).index_add_(0, self.rows, values)
        return torch.segment_reduce(values, "sum", offsets=self.places.starts, unsafe=True)

    def of_rows(self, of_each: Tensor) -> Tensor:
        """For each value what its row has of ``of_each``, ``(n_rows, ...)``: ``(N, ...)``."""
        return of_each.index_select(0, self.rows)

    def of_columns(self, of_each: Tensor) -> Tensor:
        """For each value what its column has of ``of_each``, ``(n_columns,)``: ``(N,)``."""
        return of_each.index_select(0, self.columns)

    def of_places(self, full: Tensor) -> Tensor:
        """What a matrix, ``(n_rows, n_columns)``, has at the places of these values, ``(N,)``."""
        return full.take(self.places.in_matrix)

    def transposed_product(self, other: Tensor) -> Tensor:
        """The transposed rows times a matrix ``(n_rows, H)``, ``(n_columns, H)``."""
        order, starts = self.places.by_column
        return nn.functional.embedding_bag(
            self.rows[order], other, starts, per_sample_weights=self.values[order], mode="sum", include_last_offset=True
        )

    def product(self, other: Tensor) -> Tensor:
        """The rows times a matrix ``(n_columns, H)``, ``(n_rows, H)``, without gradients."""
        return nn.functional.embedding_bag(
            self.columns,
            other,
            self.places.starts,
            per_sample_weights=self.values,
            mode="sum",
            include_last_offset=True,
        )

    def add_to(self, full: Tensor, values: Tensor) -> Tensor:
        """Add values at the places of these to a matrix, ``(n_rows, n_columns)``, which is changed."""
        full.view(-1).index_add_(0, self.places.in_matrix, values.to(full.dtype))
        return full

    def dense(self) -> Tensor:
        """All values, ``(n_rows, n_columns)``."""
        return self.add_to(self.values.new_zeros(len(self), self.n_columns), self.values)


def dense(values: Tensor | SparseRows) -> Tensor:
    """Values as a matrix, whatever they are stored as."""
    return values.dense() if isinstance(values, SparseRows) else values


def totals(values: Tensor | SparseRows) -> Tensor:
    """Sum of each row, at least 1, ``(n_rows, 1)``."""
    total = values.row_sums() if isinstance(values, SparseRows) else values.sum(dim=1)
    return total[:, None].clamp_min(1.0)


def sparse_product(rows: SparseRows, weight: Tensor) -> Tensor:
    """Rows times weights, ``(n_columns, H)``, which alone get a gradient: ``(n_rows, H)``."""
    product: Tensor = _Product.apply(weight, rows)  # type: ignore[no-untyped-call]
    return product


class InputLayer(nn.Module):
    """A linear layer that reads rows as they come: the non-zeros of sparse ones, all values of dense ones."""

    def __init__(self, n_input: int, n_output: int) -> None:
        super().__init__()
        bound = n_input**-0.5
        # Inputs first: the weights of one input lie together.
        self.weight = nn.Parameter(torch.empty(n_input, n_output).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(n_output).uniform_(-bound, bound))

    def forward(self, values: Tensor | SparseRows) -> Tensor:
        """Outputs of each row, ``(n_rows, n_output)``."""
        if isinstance(values, SparseRows) and values.values.device.type == "cpu":
            return sparse_product(values, self.weight) + self.bias
        return torch.addmm(self.bias, dense(values), self.weight)


class _Product(torch.autograd.Function):
    """See :func:`sparse_product`."""

    @staticmethod
    def forward(ctx: FunctionCtx, weight: Tensor, rows: SparseRows) -> Tensor:
        ctx.rows = rows  # type: ignore[attr-defined]
        return rows.product(weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        rows: SparseRows = ctx.rows
        if rows.density > DENSE_FROM:
            return rows.dense().mT @ gradient, None
        return rows.transposed_product(gradient), None
