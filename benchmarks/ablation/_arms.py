"""The arms of the ladder: models that differ in the prior and in nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mmvae import MultiVAE

from ._model import tie

if TYPE_CHECKING:
    from mudata import MuData

PRIORS: dict[str, Any] = {
    "A0": "normal",
    "A1": "gaussian",
    "A2": "mog",
    "A3": "mog",
    "A4g": {"name": "coupled", "kind": "gaussian"},
    "A4f": {"name": "coupled", "kind": "mog_full"},
}
TIED = "A3"
# Not trained: the arm named second with its coupling taken out.
CUT = {"A5g": "A4g", "A5f": "A4f"}


def build(arm: str, train: MuData, batch: str | None, seed: int, kl_scale: float) -> MultiVAE:
    """An untrained model; ``arm`` is one of the ladder's or the name of a prior."""
    MultiVAE.setup_mudata(train, batch_key=batch)
    model = MultiVAE(train, prior=PRIORS.get(arm, arm), seed=seed, kl_scale=kl_scale)
    if arm == TIED:
        tie(model)
    return model
