"""Mixed precision, and where it must not reach."""

import torch
from torch import Tensor


def in_full_precision(values: Tensor) -> torch.autocast:
    """Context for what needs the digits of single precision, such as covariances, on the device of ``values``."""
    return torch.autocast(values.device.type, enabled=False)
