"""What each modality gives to the fused latent, and tells of a cell."""

from collections.abc import Iterator

import numpy as np
from matplotlib.figure import Figure

from mmvae.data import presence_of
from mmvae.model import MultiVAE
from mmvae.model._reader import Reader

from ._blocks import Block, Note, Table, picture
from ._cells import described, patterns_of, sample_of

SIZE = (5.2, 3.4)
# Each is read again without each of its modalities.
WITHHELD_CELLS = 2_000


def weights(model: MultiVAE) -> Iterator[Block]:
    """The table of weights."""
    frame = model.get_modality_weights()[["weight", "reliability", "certainty", "agreement"]]
    yield Table(
        frame.rename_axis("modality").reset_index(),
        "How much each modality counts in the fused latent, the largest 1: reliability is how far half of its features "
        "tell the same as the other half, certainty how sure its latent is, agreement how much of it another modality tells.",
    )


def information(model: MultiVAE) -> Iterator[Block]:
    """The figure of what each modality tells."""
    cells = sample_of(model)
    nats = model.get_modality_information(indices=cells)

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.boxplot([nats[name].dropna() for name in nats], showfliers=False)
        axes.set_xticks(range(1, len(nats.columns) + 1), nats.columns)
        axes.set(ylabel="information in a cell's modality (nats)", ylim=(0, None))
        axes.spines[["top", "right"]].set_visible(False)

    yield picture(
        draw,
        SIZE,
        "Box plots of the information that the model took from each modality of a cell, in nats.",
        f"Median, quartiles and range without outliers, over {described(model, cells)}; near 0 the model learns nothing "
        "from the modality.",
    )
    medians = nats.groupby(patterns_of(model)[cells]).median().rename_axis("a cell has").reset_index()
    yield Table(medians, "The same medians, in nats, by what a cell has.")


def withheld(model: MultiVAE) -> Iterator[Block]:
    """The table of what changes without a modality."""
    data = Reader(model).data()
    several = np.flatnonzero(presence_of(data, model.modalities).sum(axis=1) > 1)
    if len(several) == 0:
        yield Note("No cell has several modalities, of which one could be withheld.")
        return
    chosen = np.sort(np.random.default_rng(0).permutation(several)[:WITHHELD_CELLS])
    means = model.leave_one_out(indices=chosen).mean().unstack()[["shift", *model.modalities]]
    yield Table(
        means.rename_axis(columns=None).rename_axis("withheld").reset_index(),
        f"What changes when a modality is withheld, mean over {len(chosen):,} cells that have several: the shift of the "
        "fused latent, 1 as far as to any other cell, and the change of each modality's log-likelihood, in nats; near 0 "
        "the others replace it.",
    )
