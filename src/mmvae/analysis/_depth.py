"""The depth that cells would have in a modality that was not measured. C cells, U dimensions, B batches."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from sklearn.linear_model import Ridge


@dataclass(frozen=True)
class DepthModel:
    """Log totals as a linear function of the latent and the batch, ``weights`` ``(U + B,)``, with a Gaussian ``spread``."""

    weights: np.ndarray
    intercept: float
    spread: float

    @classmethod
    def fit(cls, latent: np.ndarray, batch: np.ndarray, totals: np.ndarray) -> Self:
        """From the latents, ``(C, U)``, the codes of batches and the totals, ``(C,)``, of measured cells."""
        values, logs = _joined(latent, batch, int(batch.max()) + 1), np.log(totals)
        model = Ridge().fit(values, logs)
        return cls(model.coef_, float(model.intercept_), float(np.std(logs - model.predict(values))))

    def totals(self, latent: np.ndarray, batch: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """A total for each cell, ``(C,)``, by standard normal ``noise``; of a batch that was not known, as of none."""
        expected = _joined(latent, batch, len(self.weights) - latent.shape[1]) @ self.weights + self.intercept
        return np.asarray(np.exp(expected + self.spread * noise))


def _joined(latent: np.ndarray, batch: np.ndarray, n_batch: int) -> np.ndarray:
    return np.hstack([latent, batch[:, None] == np.arange(n_batch)])
