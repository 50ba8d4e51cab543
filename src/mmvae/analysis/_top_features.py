"""Features that stand out in a component: K components, G features."""

from collections.abc import Sequence

import numpy as np

PSEUDO = 0.1
MIN_CELLS = 1.0


def top_features(
    rates: np.ndarray, cells: np.ndarray, names: Sequence[str] | np.ndarray, *, n_features: int, is_real: bool
) -> list[str]:
    r"""The features in which each component exceeds the average of the others the most, in words, one for each component.

    By :math:`\log_2 \frac{\rho_{kg} + \epsilon}{\bar\rho_{-k,g} + \epsilon}`, where the average is weighted by the
    components' cells and :math:`\epsilon` is a tenth of the modality's mean rate, so that features which are hardly
    seen anywhere do not lead; by the difference for values that may be negative. Nothing is said of a single
    component, or of one without cells.

    Parameters
    ----------
    rates
        Expected values, ``(K, G)``.
    cells
        Cells of each component, ``(K,)``.
    names
        Names of the features.
    n_features
        How many to name at most; those that do not exceed the average are not named.
    is_real
        Whether values may be negative.
    """
    words = []
    for k, own in enumerate(rates):
        weights = np.where(np.arange(len(rates)) == k, 0.0, cells)
        if cells[k] < MIN_CELLS or weights.sum() == 0:
            words.append("")
            continue
        others = weights @ rates / weights.sum()
        pseudo = PSEUDO * others.mean()
        gain = own - others if is_real else np.log2((own + pseudo) / (others + pseudo))
        order = np.argsort(-gain, kind="stable")[:n_features]
        words.append(", ".join(str(names[g]) for g in order if gain[g] > 0))
    return words
