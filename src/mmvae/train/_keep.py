"""The weights to keep of a training, and what ended it."""

from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import nn

from mmvae._errors import TERMINATED

from ._divergence import NonFiniteError, are_finite, weights_of
from ._report import MONITOR, overtraining_notes

KEPT = ("epoch", "best", "best_epoch", "best_weights", "objectives", "value_before", "n_before")  # on disk


class KeepWeights(Callback):
    """Remembers the weights of the last epoch and of the one of the best validation objective from epoch ``first`` on.

    Objectives are comparable before, too, but latents that the KL has not shaped tell less of types and of each other
    than those of a later epoch, also where the latter's objective is worse.

    And the objective of the weights from before, where the trainer validates them at first, and the exception that ended
    training, of which Lightning may make another or none. Epochs are told as ``history_`` counts them, after the ``n_before``
    of earlier trainings.
    """

    def __init__(self, module: nn.Module, first: int, n_before: int = 0) -> None:
        self.module, self.first, self.n_before, self.best = module, first, n_before, float("inf")
        self.epoch = 0  # that is running, or would be next
        self.value: float | None = None
        self.value_before: float | None = None
        self.best_epoch: int | None = None
        self.best_weights: dict[str, Any] = {}
        self.last_weights: dict[str, Any] = {}
        self.objectives: dict[int, float] = {}
        self.exception: BaseException | None = None
        self.has_begun = self.is_complete = False
        self.logger: Any = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remember that there are epochs to come, and where they are logged."""
        self.has_begun, self.logger = True, trainer.logger

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the epoch's objective; epochs without a validation have none, not that of one before."""
        found = trainer.callback_metrics.get(MONITOR)
        value = None if found is None else float(found)
        if trainer.sanity_checking:
            self.value_before = value
        else:
            self.value = value

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remember the weights, and whether they are the best; raises :class:`NonFiniteError` if one is not finite."""
        weights = weights_of(self.module)
        if not are_finite(weights):
            raise NonFiniteError("the weights are not finite", trainer.current_epoch)
        self.last_weights, self.epoch = weights, trainer.current_epoch + 1
        value, self.value = self.value, None
        if value is not None:
            self.objectives[trainer.current_epoch] = value
        if value is not None and trainer.current_epoch >= self.first and value < self.best:
            self.best, self.best_epoch, self.best_weights = value, trainer.current_epoch, weights

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remember that there are no more epochs to come."""
        self.is_complete = True

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Remember the exception, and let the plan give back what it does at the end of a training that has none."""
        self.exception = exception
        pl_module.teardown("fit")

    def state_dict(self) -> dict[str, Any]:
        """What is remembered at the end of an epoch, whose weights are the module's."""
        return {name: getattr(self, name) for name in KEPT}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Remember it, of the epoch at whose end the module is."""
        for name in KEPT:
            setattr(self, name, state_dict[name])
        self.last_weights = weights_of(self.module)

    @property
    def chosen(self) -> dict[str, Any]:
        """The best weights, else those of the last epoch; empty before its end."""
        return self.best_weights or self.last_weights

    @property
    def logged(self) -> dict[str, Any] | None:
        """What scvi-tools' logger has of the epochs; other loggers, and those of other processes, have nothing to give."""
        found = getattr(self.logger, "history", None)
        return found if isinstance(found, dict) else None

    @property
    def best_in_history(self) -> int | None:
        """The epoch of the best weights, as the history counts."""
        return None if self.best_epoch is None else self.n_before + self.best_epoch

    @property
    def is_better(self) -> bool:
        """Whether the best epoch is known to be better than the weights from before."""
        return self.value_before is not None and self.best < self.value_before

    @property
    def is_worse(self) -> bool:
        """Whether the best epoch is known not to be better than the weights from before."""
        return self.value_before is not None and self.best_epoch is not None and self.best >= self.value_before

    def describe(self) -> str:
        """What the chosen weights are, in words."""
        if self.best_epoch is not None:
            return f"weights of epoch {self.best_in_history}, the best so far"
        return f"weights of epoch {self.n_before + self.epoch - 1}"

    def stopped(self) -> str:
        """When the training ended, in words, if it did not come to its end."""
        return "after its last epoch" if self.is_complete else f"in epoch {self.n_before + self.epoch}"

    def judgement(self, n_trained_on: int, *, takes_better: bool) -> list[str]:
        """A sentence if the training has not made the model better; the weights from before know so many of these cells."""
        if not self.is_worse:
            return []
        seen = f", which had been trained on {n_trained_on} of these cells" if n_trained_on else ""
        holds = (
            "those: keep_better=False takes the new ones" if takes_better else "the new ones, as keep_better=False asks"
        )
        return [
            f"The training did not make the model better: on the validation cells the objective, lower is better, is "
            f"{self.best:.1f} nats per cell in epoch {self.best_in_history}, the best of the new ones, and "
            f"{self.value_before:.1f} under the weights from before{seen}. The model holds {holds}."
        ]

    def overtraining(self) -> list[str]:
        """A sentence if the chosen epoch has lost much of what an earlier one had gained."""
        return overtraining_notes(self.objectives, self.best_epoch)


def as_sent(error: BaseException, keep: KeepWeights) -> BaseException:
    """``error``, or the interrupt that Lightning turned into it; SIGTERM exits as shells expect it, not with 0."""
    if isinstance(keep.exception, KeyboardInterrupt):
        return KeyboardInterrupt()
    if isinstance(error, SIGTERMException):
        error.code = TERMINATED
    return error
