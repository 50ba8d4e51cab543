"""Expected values as logarithms, in which effects add up. C cells or K components, G features."""

import numpy as np
import torch
from torch import Tensor

PSEUDO = 0.1  # of the mean rate of a modality


def log_rates(rates: Tensor) -> Tensor:
    r""":math:`\log_2 (\rho + \epsilon)`, ``(C, G)``, with :math:`\epsilon` a tenth of the cell's mean rate.

    So features that are hardly seen anywhere do not change the most.
    """
    return torch.log2(rates + PSEUDO * rates.mean(dim=-1, keepdim=True))


def gains(rates: np.ndarray, cells: np.ndarray, *, is_real: bool) -> np.ndarray:
    r"""How far each component's rates, ``(K, G)``, exceed the others' average, ``(K, G)``.

    By :math:`\log_2 \frac{\rho_{kg} + \epsilon}{\bar\rho_{-k,g} + \epsilon}`, where the average is weighted by the
    components' ``cells``, ``(K,)``, and :math:`\epsilon` is a tenth of the modality's mean rate, so that features which
    are hardly seen anywhere do not lead; by the difference if values may be negative (``is_real``). NaN for a component
    without others that have cells.
    """
    weights = np.where(np.eye(len(rates), dtype=bool), 0.0, cells)
    with np.errstate(invalid="ignore"):
        others = weights @ rates / weights.sum(axis=1, keepdims=True)
    pseudo = PSEUDO * others.mean(axis=1, keepdims=True)
    return rates - others if is_real else np.log2((rates + pseudo) / (others + pseudo))
