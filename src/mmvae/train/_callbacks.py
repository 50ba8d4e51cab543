"""Callbacks: the start of the priors, the weights to keep, and what ended training."""

from collections.abc import Callable, Iterable
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import Tensor, nn

from mmvae._errors import TERMINATED
from mmvae._keys import OBJECTIVE
from mmvae.module import MultiVAEModule

from ._divergence import NonFiniteError, are_finite, weights_of
from ._priors import init_priors

MONITOR = f"{OBJECTIVE}_validation"


class InitPriors(Callback):
    """Shows the priors the posteriors of training cells: before epoch ``early``, or ``late`` those that wait for it.

    Where training ends before, they see them at its end.
    """

    def __init__(
        self, module: MultiVAEModule, read: Callable[[], Iterable[dict[str, Tensor]]], *, early: int, late: int
    ) -> None:
        self.module, self.read = module, read
        self.waiting = [(early, False), (late, True)]

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the priors whose epoch has come."""
        self._start(trainer, trainer.current_epoch)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the priors whose epoch never came."""
        self._start(trainer, None)

    def _start(self, trainer: Trainer, until: int | None) -> None:
        plugin = trainer.precision_plugin
        while self.waiting and (until is None or self.waiting[0][0] <= until):
            _, late = self.waiting.pop(0)
            with plugin.forward_context():
                read = lambda: map(plugin.convert_input, self.read())
                init_priors(self.module, read, trainer.current_epoch, late=late)


class KeepWeights(Callback):
    """Remembers the weights of the last epoch and of the one of the best validation objective from epoch ``first`` on.

    Before ``first`` the KL is still warming up and the priors have not started, so objectives are not comparable.
    It remembers, too, the exception that ended training, of which Lightning may make another or none.
    """

    def __init__(self, module: nn.Module, first: int) -> None:
        self.module, self.first = module, first
        self.best = float("inf")
        self.best_epoch: int | None = None
        self.best_weights: dict[str, Any] = {}
        self.value: float | None = None
        self.last_epoch: int | None = None
        self.last_weights: dict[str, Any] = {}
        self.exception: BaseException | None = None

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the epoch's objective; epochs without a validation have none, not that of one before."""
        value = trainer.callback_metrics.get(MONITOR)
        self.value = None if value is None else float(value)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remember the weights, and whether they are the best.

        Raises
        ------
        NonFiniteError
            If one is not finite.
        """
        weights = weights_of(self.module)
        if not are_finite(weights):
            raise NonFiniteError("the weights are not finite", trainer.current_epoch)
        self.last_weights, self.last_epoch = weights, trainer.current_epoch
        value, self.value = self.value, None
        if value is not None and trainer.current_epoch >= self.first and value < self.best:
            self.best, self.best_epoch, self.best_weights = value, trainer.current_epoch, weights

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Remember the exception."""
        self.exception = exception

    @property
    def epoch(self) -> int:
        """The epoch that is running, or would be next."""
        return 0 if self.last_epoch is None else self.last_epoch + 1

    @property
    def chosen(self) -> dict[str, Any]:
        """The best weights, else those of the last epoch; empty before its end."""
        return self.best_weights or self.last_weights

    def describe(self) -> str:
        """What the chosen weights are, in words."""
        if self.best_epoch is not None:
            return f"weights of epoch {self.best_epoch}, the best so far"
        return f"weights of epoch {self.last_epoch}"


def as_sent(error: BaseException, keep: KeepWeights) -> BaseException:
    """``error``, or the interrupt that Lightning turned into it; a request to end exits as shells expect it.

    Lightning exits with 1 on a ``KeyboardInterrupt`` (older versions return as if training were done) and with 0 on
    SIGTERM.
    """
    if isinstance(keep.exception, KeyboardInterrupt):
        return KeyboardInterrupt()
    if isinstance(error, SIGTERMException):
        error.code = TERMINATED
    return error
