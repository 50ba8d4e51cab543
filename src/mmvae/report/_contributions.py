"""What each modality gives to the fused latent, and tells of a cell."""

from collections.abc import Iterator

import numpy as np

from mmvae.data import presence_of, some_of
from mmvae.model import MultiVAE
from mmvae.model._reader import Reader
from mmvae.pl import modality_weights, shared_spectrum

from ._blocks import Block, Note, Table, panels, picture
from ._cells import described, patterns_of, sample_of

# Each is read again without each of its modalities.
WITHHELD_CELLS = 2_000


def weights(model: MultiVAE) -> Iterator[Block]:
    """The weights of the modalities."""
    yield Table(
        model.get_modality_weights().rename_axis("modality").reset_index(),
        "How much each modality counts in the fused latent, the largest 1, and why: how far half of its features tell the "
        "same as the others, how sure its latent is, and how much of it another modality tells.",
    )
    yield picture(
        lambda: modality_weights(model, axes=panels(2, 2.8), return_fig=True),
        "Bars of each modality's weight, reliability, certainty and agreement; violins of the information in its cells.",
        "Above, the same in bars; below, near 0 nats the model learns nothing from a cell's modality.",
    )


def information(model: MultiVAE) -> Iterator[Block]:
    """The table of what each modality tells."""
    cells = sample_of(model)
    nats = model.get_modality_information(indices=cells)
    medians = nats.groupby(patterns_of(model)[cells]).median().rename_axis("a cell has").reset_index()
    yield Table(
        medians, f"Information in each modality, the median in nats, by what a cell has; of {described(model, cells)}."
    )


def shared(model: MultiVAE) -> Iterator[Block]:
    """The figure of what the modalities share."""
    if len(model.modalities) > 1:
        yield picture(
            lambda: shared_spectrum(model, ax=panels(1, 3.2), return_fig=True),
            "Eigenvalues of the correlations of the modalities' latents, by dimension, with the threshold of chance.",
            "Dimensions above the dashed line are what the modalities agree on; where none is, they tell nothing of each "
            "other.",
        )


def withheld(model: MultiVAE) -> Iterator[Block]:
    """The table of what changes without a modality."""
    data = Reader(model).data()
    several = np.flatnonzero(presence_of(data, model.modalities).sum(axis=1) > 1)
    if len(several) == 0:
        yield Note("No cell has several modalities, of which one could be withheld.")
        return
    chosen = some_of(several, WITHHELD_CELLS)
    means = model.leave_one_out(indices=chosen).mean().unstack().loc[model.modalities, ["shift", *model.modalities]]
    yield Table(
        means.rename_axis(columns=None).rename_axis("withheld").reset_index(),
        f"What changes when a modality is withheld, mean over {len(chosen):,} cells that have several: the shift of the "
        "fused latent, 1 as far as to any other cell, and the change of each modality's log-likelihood, in nats; near 0 "
        "the others replace it.",
    )
