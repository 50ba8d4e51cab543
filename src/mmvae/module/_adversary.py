"""Adversary that reads the batch off the latent: C cells, U latent dimensions, H hidden units, S batches."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx
from torch.nn import functional

N_HIDDEN = 64


class BatchAdversary(nn.Module):
    r"""A classifier of batches whose gradient reaches the encoders reversed :cite:p:`Ganin2016`.

    The adversary minimises :math:`-\log p(s \mid z)`. Encoders and imputation are trained to maximise it, through the
    reversed gradient and with ``weight``, in nats of the loss per nat of the classifier, and so to remove information
    on the batch from the latent.
    """

    def __init__(self, n_latent: int, n_batch: int, weight: float) -> None:
        super().__init__()
        self.weight = weight
        self.layers = nn.Sequential(nn.Linear(n_latent, N_HIDDEN), nn.ReLU(), nn.Linear(N_HIDDEN, N_HIDDEN), nn.ReLU())
        # Batches last: scvi-tools widens that dimension when a query brings new ones.
        self.output = nn.Parameter(torch.randn(N_HIDDEN, n_batch) / N_HIDDEN**0.5)

    def forward(self, latent: Tensor, batch: Tensor, schedule: Tensor | float = 1.0) -> Tensor:
        """Cost in nats, ``(n_cells,)``; ``batch`` is ``(n_cells, 1)``, ``schedule`` a factor on the weight."""
        reversed_ = _Reversed.apply(latent, self.weight * schedule)
        logits = self.layers(reversed_) @ self.output
        return functional.cross_entropy(logits, batch.squeeze(1).long(), reduction="none")


def adversary_as_saved(module: Any, state: Mapping[str, Any], *_: Any) -> None:
    """Let a module do without an adversary if the ``state`` that it loads has none.

    A reference of one batch has none, and a query that brings more does not need one: its encoders stay as they are.
    """
    if not any(name.startswith("adversary.") for name in state):
        module.adversary = None


class _Reversed(torch.autograd.Function):
    """The identity, whose gradient is multiplied by minus a weight."""

    @staticmethod
    def forward(ctx: FunctionCtx, latent: Tensor, weight: Tensor | float) -> Tensor:
        ctx.weight = weight  # type: ignore[attr-defined]
        return latent.view_as(latent)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return -ctx.weight * gradients[0], None
