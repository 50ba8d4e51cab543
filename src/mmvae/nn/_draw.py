"""Random draws for which nothing waits."""

import torch
from torch import Tensor


def draw_category(log_weights: Tensor) -> Tensor:
    """A category for each row of log-weights, ``(n_rows, n_categories)``: the largest after adding Gumbel noise."""
    return (log_weights - torch.empty_like(log_weights).exponential_().log()).argmax(dim=1)
