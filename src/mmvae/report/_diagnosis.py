"""Whether the model can be relied on."""

from collections.abc import Iterator

from mmvae.model import MultiVAE
from mmvae.model.readouts._diagnosis import FINE

from ._blocks import Block, Note, Table

NAMES = {
    "n_cells": "cells",
    "nats": "nats per cell",
    "active": "active dimensions",
    "n_latent": "dimensions",
    "explained_of_a_feature": "median feature",
    "target": "filled in",
    "sources": "from",
    "auc": "AUC",
}


def diagnosis(model: MultiVAE) -> Iterator[Block]:
    """The diagnosis."""
    found = model.diagnose()
    if found.verdict:
        yield from (Note(line, "warning") for line in found.verdict)
    else:
        yield Note(FINE, "good")
    yield Table(
        found.modalities.rename_axis("modality").reset_index(),
        "On held-out cells, where there are any: nats that each latent carries of a cell, dimensions that are active of "
        "all, shares of the deviance that are explained of all features together and of the median one, 0 for no better "
        "than the mean, and the weight in the fused latent.",
        NAMES,
    )
    if len(found.filled):
        yield Table(
            found.filled,
            "Latents that are filled in from others: the mean squared standardised residual is 1 where they are as sure "
            "as they should be, and above where they are too sure.",
            NAMES,
        )
    told = found.separation.dropna()
    if len(told):
        yield Table(
            told.rename_axis("of a cell").rename("told by its neighbours").reset_index(),
            "How far the nearest neighbours in the fused latent tell a cell's batch and what it has: 0 no better than by "
            "guessing, where all is mixed; 1 always.",
        )
    yield Table(
        found.priors,
        "How well a classifier tells draws of a prior from cells, as the area under its curve: 0.5 not at all, 1 always. "
        "Priors of single modalities know nothing of each other, so that they fail jointly even where each fits.",
        NAMES,
    )
