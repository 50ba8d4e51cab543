"""How well each modality is predicted from the others, in held-out cells that have both."""

import warnings
from collections.abc import Iterator
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from mmvae.model import MultiVAE
from mmvae.model._reader import Reader
from mmvae.model.readouts._calibration import joint_cells
from mmvae.model.readouts._quality import LEAST_CELLS, OWN, Quality, quality
from mmvae.nn import dense
from mmvae.pl import imputation

from ._blocks import WIDTH, Block, Note, Table, picture

INTERVAL, MOST_CELLS, MOST_FEATURES, DRAWN = 0.9, 200, 100, 4
Tables: TypeAlias = tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame]
NAMES = {"lead": "ahead of the best other by", "lead_error": "standard error"}


def predictions(model: MultiVAE) -> Iterator[Block]:
    """The table of how well modalities are predicted."""
    if len(model.modalities) == 1:
        yield Note("There is one modality, and no other to predict it from.")
        return
    measured = _measured(model)
    for name in model.modalities:
        if name not in measured:
            yield Note(
                f"How well '{name}' is predicted is not known: fewer than {LEAST_CELLS} validation cells have it and another "
                "modality, or the data are not those of the training."
            )
        elif measured[name].is_beaten:
            yield Note(measured[name].words(name), "warning")
    if measured:
        yield Table(
            pd.DataFrame([_row(name, own) for name, own in measured.items()]),
            "Mean correlation over validation cells of the features that vary most with what was predicted from the cell's "
            "other modalities, by the model and by plain methods that learnt from the training cells.",
            NAMES,
        )


def intervals(model: MultiVAE) -> Iterator[Block]:
    """The figures of predictions with intervals."""
    measured = _measured(model)
    if measured and not Reader(model).has_training_values:
        yield Note(
            "Measured values of validation cells are not in the data, and no figure compares them with predictions."
        )
        return
    for name, found in measured.items():
        tables = _held_out(model, name, _evenly(found, MOST_FEATURES))
        truth, _, lower, upper = tables
        inside = float(((truth >= lower) & (truth <= upper)).to_numpy().mean())
        yield picture(
            partial(_draw, tables, _evenly(found, DRAWN), log=model.module.likelihoods[name].values != "real"),
            f"Scatter plots of predicted against measured values of '{name}' for {DRAWN} features at most, with intervals.",
            f"Features of '{name}' from the best predicted to the worst; {INTERVAL:.0%} intervals hold {inside:.0%} of what "
            f"{len(truth):,} validation cells measured, by which they were calibrated.",
            formulas=True,
        )


def _draw(tables: Tables, features: list[str], *, log: bool) -> Any:
    # A dollar begins a formula.
    own = [table[features].rename(columns=lambda name: name.replace("$", r"\$")) for table in tables]
    figure: Any = imputation(*own, ncols=2, log=log, return_fig=True)
    figure.set_size_inches(WIDTH, WIDTH * figure.get_figheight() / figure.get_figwidth())
    return figure


def _measured(model: MultiVAE) -> dict[str, Quality]:
    """Of the modalities of which there are enough validation cells."""
    if len(model.modalities) == 1:
        return {}
    found = {name: quality(Reader(model), name) for name in model.modalities}
    return {name: own for name, own in found.items() if own is not None}


def _row(name: str, found: Quality) -> dict[str, object]:
    means = {method: float(np.nanmean(own)) for method, own in found.correlation.items()}
    return {"modality": name, "cells": found.n_cells, **means, "lead": found.lead, "lead_error": found.lead_error}


def _evenly(found: Quality, most: int) -> list[str]:
    """Features whose correlations lie evenly between the best and the worst, the best first."""
    known = pd.Series(found.correlation[OWN], index=found.features).dropna().sort_values(ascending=False)
    return list(known.index[np.unique(np.linspace(0, len(known) - 1, most).astype(int))])


def _held_out(model: MultiVAE, name: str, features: list[str]) -> Tables:
    """What validation cells measured, what is predicted while that is withheld, and between what it should lie."""
    reader = Reader(model)
    cells = joint_cells(reader, name, model.validation_indices_)[:MOST_CELLS]
    columns = pd.Index(reader.features(name)).get_indexer(features)
    values = [dense(own.values[name])[:, columns].cpu().numpy() for own in reader.minibatches(None, cells)]
    truth = pd.DataFrame(np.concatenate(values), reader.data().obs_names[cells], features)
    with warnings.catch_warnings():
        # The page says itself where plain methods predict better.
        warnings.simplefilter("ignore", UserWarning)
        found: Any = model.impute(name, None, cells, None, features, "latent", interval=INTERVAL)
    return truth, found.mean, found.lower_count, found.upper_count
