"""What went less than well in a training, in words, each with what to do."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from mmvae._keys import OBJECTIVE
from mmvae.data import Column, confounding_notes
from mmvae.priors import Prior

MONITOR = f"{OBJECTIVE}_validation"
MINIMUM_NATS, FEWEST_EPOCHS = 1.0, 3
ENOUGH_EPOCHS = 10  # to tell learning by heart from the noise of a start
OVERTRAINED = 0.25  # of what training gained in nats, where the epoch that is kept has lost as much again


def training_report(
    history: Mapping[str, pd.DataFrame], priors: Mapping[str, Prior], batch: Column | None, patterns: np.ndarray
) -> list[str]:
    """Sentences on what went less than well; ``history`` has, by metric, a row for each epoch of this training."""
    nats = {name: metric(history, f"kl_{name}_train") for name in priors}
    last = {name: float(values.iloc[-1]) for name, values in nats.items() if len(values)}
    notes = objective_notes(metric(history, MONITOR)) + collapse_notes(last, "training cell") + prior_notes(priors)
    return notes if batch is None else [*notes, *confounding_notes(batch, patterns)]


def objective_notes(objective: pd.Series) -> list[str]:
    """Whether the validation objective, by epoch, never improved on the first."""
    if len(objective) < FEWEST_EPOCHS or objective.iloc[1:].min() < objective.iloc[0]:
        return []
    return [
        f"The validation ELBO never improved on its first epoch ({objective.iloc[0]:.1f}). Check that the layers "
        "hold the values meant, or lower lr."
    ]


def overtraining_notes(objectives: Mapping[int, float], chosen: int | None) -> list[str]:
    """Whether the chosen epoch has lost much of what an earlier one had gained."""
    if chosen is None or len(objectives) < ENOUGH_EPOCHS:
        return []
    early = min(objectives, key=lambda epoch: objectives[epoch])
    best = objectives[early]
    lost, gained = objectives[chosen] - best, next(iter(objectives.values())) - best
    if gained <= 0 or lost <= max(MINIMUM_NATS, OVERTRAINED * gained):
        return []
    return [
        f"The validation ELBO was best in epoch {early}, before those to choose from, and is {lost:.1f} nats worse in "
        f"epoch {chosen}, whose weights are kept: training cells were learnt by heart. Take fewer features, "
        "those that vary most, or less freedom for them, a smaller plan_kwargs={'loading_sd': ...} than 1."
    ]


def collapse_notes(nats: Mapping[str, float], cell: str = "cell") -> list[str]:
    """Latents that carry next to nothing, by their nats per cell, of which ``cell`` says which."""
    return [
        f"The latent of '{name}' carries {value:.2f} nats per {cell}, less than {MINIMUM_NATS:g}: the "
        "model learnt next to nothing of it. Check its features, or leave it out."
        for name, value in nats.items()
        if value < MINIMUM_NATS
    ]


def prior_notes(priors: Mapping[str, Prior]) -> list[str]:
    """Priors that had too few cells to start from."""
    return [
        f"The prior of '{name}' is still N(0, I): it had fewer than two training cells to learn from."
        for name, prior in priors.items()
        if not prior.is_initialised
    ]


def metric(history: Mapping[str, pd.DataFrame], name: str) -> pd.Series:
    """A metric by epoch; empty where it was not recorded."""
    found = history.get(name)
    return pd.Series(dtype=float) if found is None else pd.to_numeric(found.iloc[:, 0])
