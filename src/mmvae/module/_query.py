"""What a query trains: weights of the categories that its reference does not know, and nothing else."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mmvae.nn import CategoryTable


def table_sizes(module: nn.Module) -> dict[str, int]:
    """Number of categories of each table of weights, by its name in the module."""
    return {name: table.weight.shape[1] for name, table in _tables(module).items()}


@torch.no_grad()
def start_new_categories(module: nn.Module, n_known: Mapping[str, int]) -> None:
    """Give categories from ``n_known`` on, by table, the mean of the known ones' weights: training starts near them."""
    for name, table in _tables(module).items():
        table.weight[:, n_known[name] :] = table.weight[:, : n_known[name]].mean(dim=1, keepdim=True)


def train_new_categories(module: nn.Module, n_known: Mapping[str, int]) -> None:
    """Freeze all but the categories from ``n_known`` on, by table; known ones get no gradient, so Adam spares them."""
    module.requires_grad_(False)
    for name, table in _tables(module).items():
        table.weight.requires_grad_(True)
        is_new = torch.arange(table.weight.shape[1]) >= n_known[name]
        table.weight.register_hook(_Masked(is_new))


class _Masked:
    """The gradient, 0 where ``marks`` is false."""

    def __init__(self, marks: Tensor) -> None:
        self.marks = marks

    def __call__(self, gradient: Tensor) -> Tensor:
        self.marks = self.marks.to(gradient)
        return gradient * self.marks


def _tables(module: nn.Module) -> dict[str, CategoryTable]:
    return {name: part for name, part in module.named_modules() if isinstance(part, CategoryTable)}
