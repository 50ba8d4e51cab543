"""Weights of the categories of one covariate: C cells, H outputs, K categories."""

from torch import Tensor, nn


class CategoryTable(nn.Module):
    """One vector for each category, looked up by code.

    A table of its own for every covariate, categories last: a query's new categories are appended there, and neither
    the reference's categories nor another covariate's move.

    Parameters
    ----------
    n_output
        Width of the vectors, H.
    n_categories
        Number of categories, K.
    bound
        Entries start uniform between minus and plus this.
    """

    def __init__(self, n_output: int, n_categories: int, bound: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(nn.init.uniform_(Tensor(n_output, n_categories), -bound, bound))

    def forward(self, codes: Tensor) -> Tensor:
        """Vectors of the categories ``codes``, ``(n_cells, 1)``, as ``(n_cells, n_output)``."""
        return nn.functional.embedding(codes.squeeze(1).long(), self.weight.mT)
