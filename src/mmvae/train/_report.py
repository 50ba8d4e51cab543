"""What a user should know at the end of training, in words."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from mmvae.data import Column, confounding_notes
from mmvae.priors import Prior

from ._callbacks import MONITOR

MINIMUM_NATS = 1.0
FEWEST_EPOCHS = 3


def training_report(
    history: Mapping[str, pd.DataFrame], priors: Mapping[str, Prior], batch: Column | None, patterns: np.ndarray
) -> list[str]:
    """Sentences about what went less than well; empty if nothing did.

    ``history`` has, by metric, a row for each epoch of this training; ``patterns``, ``(n_cells,)``, are the names of the
    cells' missing patterns.
    """
    notes = []
    objective = _values(history, MONITOR)
    if len(objective) >= FEWEST_EPOCHS and not objective.iloc[1:].min() < objective.iloc[0]:
        notes.append(
            f"The validation ELBO never improved on its first epoch ({objective.iloc[0]:.1f}). Check that the layers hold "
            "the values meant, or lower lr."
        )
    for name in priors:
        nats = _values(history, f"kl_{name}_train")
        if len(nats) and nats.iloc[-1] < MINIMUM_NATS:
            notes.append(
                f"The latent of '{name}' carries {nats.iloc[-1]:.2f} nats per cell, less than {MINIMUM_NATS:g}: the model "
                "learnt next to nothing of it. Check its features, or leave it out."
            )
    for name in (name for name, prior in priors.items() if not prior.is_initialised):
        notes.append(f"The prior of '{name}' is still N(0, I): it had fewer than two training cells to learn from.")
    return notes if batch is None else [*notes, *confounding_notes(batch, patterns)]


def _values(history: Mapping[str, pd.DataFrame], metric: str) -> pd.Series:
    found = history.get(metric)
    return pd.Series(dtype=float) if found is None else pd.to_numeric(found.iloc[:, 0])
