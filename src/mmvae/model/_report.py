"""What a user should know at the end of training, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
from scvi import REGISTRY_KEYS

from mmvae.data import SetupArguments, confounding_notes, pattern_names, presence_of, resolve_columns

if TYPE_CHECKING:
    from ._multivae import MultiVAE

MINIMUM_NATS = 1.0


def training_report(model: MultiVAE) -> list[str]:
    """Sentences about what went less than well; empty if nothing did."""
    return [*_never_improved(model), *_silent_modalities(model), *_confounded(model)]


def _never_improved(model: MultiVAE) -> list[str]:
    history = model.history_.get("elbo_validation")
    if history is None or len(history) < 3:
        return []
    values = pd.to_numeric(history.iloc[:, 0])
    if values.iloc[1:].min() < values.iloc[0]:
        return []
    return [
        f"The validation ELBO never improved on its first epoch ({values.iloc[0]:.1f}). Check that the layers hold the "
        "values meant, or lower lr."
    ]


def _silent_modalities(model: MultiVAE) -> list[str]:
    lines = []
    for name in model.module.priors:
        history = model.history_.get(f"kl_{name}_train")
        if history is None or len(history) == 0:
            continue
        nats = float(pd.to_numeric(history.iloc[:, 0]).iloc[-1])
        if nats < MINIMUM_NATS:
            lines.append(
                f"The latent of '{name}' carries {nats:.2f} nats per cell, less than {MINIMUM_NATS:g}: the model learnt "
                "next to nothing of it. Check its features, or leave it out."
            )
    return lines


def _confounded(model: MultiVAE) -> list[str]:
    names = model.adata_manager.names
    columns, _ = resolve_columns(model.adata, SetupArguments.of(model.registry_["setup_args"]))
    patterns = pattern_names(presence_of(model.adata, names), names)
    return [
        note
        for column in columns
        if column.role == REGISTRY_KEYS.BATCH_KEY
        for note in confounding_notes(column, patterns)
    ]
