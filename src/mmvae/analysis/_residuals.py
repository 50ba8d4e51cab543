"""Whether Gaussian predictions are as sure as they should be. S draws, C cells, D latent dimensions."""

import numpy as np


def of_mixture(means: np.ndarray, variances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance, ``(C, D)``, of what S predictions with these moments, ``(S, C, D)``, say together."""
    return means.mean(axis=0), variances.mean(axis=0) + means.var(axis=0, ddof=1)


def squared_residual(
    mean: np.ndarray, variance: np.ndarray, predicted: np.ndarray, predicted_variance: np.ndarray
) -> float:
    """Mean squared standardised residual of a draw of N(mean, variance) from a prediction, all ``(C, D)``.

    1 where the prediction is as sure as it should be, and larger where it is surer.
    """
    return float((((mean - predicted) ** 2 + variance) / predicted_variance).mean())
