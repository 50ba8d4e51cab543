"""Random draws for which nothing waits, and where mixed precision must not reach."""

import torch
from torch import Tensor


def draw_category(log_weights: Tensor) -> Tensor:
    """A category for each row of log-weights, ``(n_rows, n_categories)``: the largest after adding Gumbel noise."""
    return (log_weights - torch.empty_like(log_weights).exponential_().log()).argmax(dim=1)


def in_full_precision(values: Tensor) -> torch.autocast:
    """Context for what needs the digits of single precision, such as covariances, on the device of ``values``."""
    return torch.autocast(values.device.type, enabled=False)
