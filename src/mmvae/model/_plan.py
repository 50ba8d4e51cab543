"""Training plan: optimiser, KL warm-up and the guard against non-finite losses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from scvi.train import TrainingPlan
from torch.optim.lr_scheduler import CosineAnnealingLR

from mmvae._keys import CELLS

if TYPE_CHECKING:
    from scvi.module.base import LossOutput
    from torch import Tensor, nn


class NonFiniteLossError(ArithmeticError):
    """A training step gave a loss that is NaN or infinite."""

    def __init__(self, parts: list[str], cells: list[int], epoch: int) -> None:
        self.parts, self.cells, self.epoch = parts, cells, epoch
        super().__init__(f"non-finite loss in {parts} at epoch {epoch}")


class MultiVAEPlan(TrainingPlan):
    """scvi-tools' plan with fused Adam, a cosine schedule, and a stop at the first non-finite loss.

    Weight decay acts on weight matrices of encoders and decoders alone: on a prior it would pull components
    together, and on biases features' mean profiles to a uniform one.
    """

    def forward(self, *args: Any, **kwargs: Any) -> tuple[Any, Any, LossOutput]:
        """Pass to the module, and keep the loss's parts for the guard."""
        outputs = super().forward(*args, **kwargs)
        self._parts = outputs[-1]
        return outputs

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """One step; raises :class:`NonFiniteLossError` before the weights are touched."""
        loss = super().training_step(batch, batch_idx)
        if not torch.isfinite(loss):
            raise NonFiniteLossError(self._non_finite_parts(), batch[CELLS].tolist(), self.current_epoch)
        return loss

    def _non_finite_parts(self) -> list[str]:
        parts = {f"reconstruction of '{n}'": v for n, v in self._parts.reconstruction_loss.items()}
        parts |= {f"KL of '{n}'": v for n, v in self._parts.kl_local.items()}
        return [name for name, value in parts.items() if not torch.isfinite(value).all()]

    def configure_optimizers(self) -> dict[str, Any]:
        """Adam in two groups, its rate falling as a cosine to a twentieth."""
        # A query trains the new batches' weights alone; scvi-tools keeps the rest still by zeroing their gradients, which
        # a decay would not heed.
        is_query = not all(parameter.requires_grad for parameter in self.module.encoders.parameters())
        groups = [
            {"params": self._trainable(decayed=True), "weight_decay": 0.0 if is_query else self.weight_decay},
            {"params": self._trainable(decayed=False), "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=self.lr, eps=self.eps, fused=True)
        schedule = CosineAnnealingLR(optimizer, T_max=self.trainer.max_epochs, eta_min=self.lr / 20)
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    def _trainable(self, *, decayed: bool) -> list[nn.Parameter]:
        return [
            parameter
            for name, parameter in self.module.named_parameters()
            if parameter.requires_grad and decayed == (parameter.ndim > 1 and not name.startswith("priors"))
        ]
