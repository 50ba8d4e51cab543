"""How training went."""

from collections.abc import Iterator

from mmvae.model import MultiVAE
from mmvae.pl import history

from ._blocks import Block, Note, panels, picture


def training(model: MultiVAE) -> Iterator[Block]:
    """The history of training."""
    n_epochs, kept = len(model.history_["elbo_train"]), model.best_epoch_
    yield Note(f"Trained for {n_epochs:,} epochs; {_kept(kept)}. {_cells(model)}")
    yield from (Note(line, "warning") for line in model.training_report_)

    yield picture(
        lambda: history(model, axes=panels(2, 3.0), return_fig=True),
        "Two line plots over the epochs: the loss of training and validation cells, and the divergence of each latent.",
        "Above, lower is better, and validation far above training means cells learnt by heart; below, a latent near 0 "
        "carries nothing.",
    )


def _kept(best: int | None) -> str:
    return "the weights are those of the last" if best is None else f"the weights are those of epoch {best:,}, the best"


def _cells(model: MultiVAE) -> str:
    """How many cells were trained on and held out; nothing where a data module chose them."""
    if model.train_indices_ is None:
        return ""
    held_out = 0 if model.validation_indices_ is None else len(model.validation_indices_)
    return f"{len(model.train_indices_):,} cells were trained on, {held_out:,} held out to choose the epoch."
