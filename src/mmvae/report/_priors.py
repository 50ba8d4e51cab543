"""Whether the priors fit, and what they have learnt."""

from collections.abc import Iterator
from functools import partial

from mmvae.model import MultiVAE
from mmvae.pl import priors

from ._blocks import Block, Table, picture

COMPONENTS, FEATURES = 8, 5
NAMES = {"n_cells": "cells", "batch_evenness": "evenness of batches"}
SHOWN = ["component", "label", "weight", "n_cells", "batch_evenness"]


def pictures(model: MultiVAE) -> Iterator[Block]:
    """The figures of the priors."""
    fusion = model.module.fusion
    # Modalities that lie in the same place of one latent have one figure.
    first = {str(fusion.latent_of(name)): name for name in reversed(model.modalities)}
    for name in reversed(first.values()):
        yield picture(
            partial(priors, model, name, tall=True, return_fig=True),
            f"Cells and draws of the prior on the main directions of the latent of '{name}', together and each alone.",
            f"Where cells of '{name}' lie and the prior does not, or the other way round, the prior does not fit.",
        )


def components(model: MultiVAE) -> Iterator[Block]:
    """The tables of the priors' components."""
    summary = model.prior_summary(n_features=FEATURES)
    for latent, rows in summary.groupby("latent", sort=False):
        prior = rows["prior"].iloc[0]
        if "component" not in rows or rows["component"].isna().all():
            continue
        shown = [name for name in map(str, rows) if name in SHOWN or name.startswith("top_")]
        yield Table(
            rows[shown].head(COMPONENTS).dropna(axis="columns", how="all"),
            f"The {min(COMPONENTS, len(rows))} components of prior '{prior}' of the latent '{latent}' that most cells belong "
            f"to, of {len(rows)}; batches are even at 1, and the features are those that set a component apart from the "
            "other cells.",
            NAMES | {name: name.replace("top_", "features: ", 1) for name in shown if name.startswith("top_")},
        )
