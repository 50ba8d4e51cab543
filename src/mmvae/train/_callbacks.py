"""What goes on beside training: the start of the priors, the weights to keep, what ended it."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import Tensor, nn

from mmvae._errors import TERMINATED
from mmvae.module import MultiVAEModule
from mmvae.nn import in_full_precision
from mmvae.priors import PosteriorSample

from ._divergence import NonFiniteError, are_finite, weights_of
from ._report import MONITOR, overtraining_notes

Read = Callable[[], Iterable[dict[str, Tensor]]]


@torch.no_grad()
def init_priors(module: MultiVAEModule, read: Read, epoch: int = 0, *, late: bool = False) -> None:
    """Start the priors that wait for posteriors; ``late``, those that wait for the end of the KL warm-up.

    ``read``, called if one waits, gives minibatches of training cells. A posterior that is not finite is an error.
    """
    waiting = {n: p for n, p in module.priors.items() if not p.is_initialised and p.init_after_warmup == late}
    if not waiting:
        return
    found: dict[str, list[PosteriorSample]] = {name: [] for name in waiting}
    training = module.training
    module.eval()
    for tensors in read():
        for name, sample in module.posterior_samples(module.minibatch(tensors)):
            if name in found:
                found[name].append(sample)
    for name, samples in found.items():
        together = PosteriorSample.together(samples)
        if not bool(together.loc.isfinite().all() & together.scale.isfinite().all()):
            raise NonFiniteError(f"the latent of '{name}' is not finite", epoch)
        if len(together.loc) > 1:
            with in_full_precision(together.loc):
                waiting[name].init_from(together)
    module.train(training)


class InitPriors(Callback):
    """Shows priors the posteriors of training cells before epoch ``early``, or ``late`` if they wait, or at the end."""

    def __init__(self, module: MultiVAEModule, read: Read, *, early: int, late: int) -> None:
        self.module, self.read = module, read
        self.waiting = [(early, False), (late, True)]

    def on_train_epoch_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Start the priors whose epoch has come."""
        self._start(trainer, pl_module, trainer.current_epoch)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Refresh the priors that are trained, which a query's are not."""
        pl_module.attach_graphs()
        for prior in self.module.priors.values():
            if trainer.world_size > 1 and prior.graph is not None and prior.graph.is_filled:
                prior.graph.share(lambda own: trainer.strategy.reduce(own.clone(), reduce_op="sum"))
            if any(parameter.requires_grad for parameter in prior.parameters()):
                prior.refresh()

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Start the priors whose epoch never came."""
        self._start(trainer, pl_module, None)

    def _start(self, trainer: Trainer, pl_module: Any, until: int | None) -> None:
        plugin = trainer.precision_plugin
        pl_module.attach_graphs()
        while self.waiting and (until is None or self.waiting[0][0] <= until):
            _, late = self.waiting.pop(0)
            with plugin.forward_context():
                converted = lambda: map(plugin.convert_input, self.read())
                init_priors(self.module, converted, trainer.current_epoch, late=late)
            if trainer.world_size > 1:  # fits on several devices may differ in their last digits
                priors: Any = self.module.priors
                state = {name: value.cpu() for name, value in priors.state_dict().items()}
                priors.load_state_dict(trainer.strategy.broadcast(state))


class KeepWeights(Callback):
    """Remembers the weights of the last epoch and of the one of the best validation objective from epoch ``first`` on.

    Objectives are comparable before, too, but latents that the KL has not shaped tell less of types and of each other
    than those of a later epoch, also where the latter's objective is worse.

    And the exception that ended training, of which Lightning may make another or none.
    """

    def __init__(self, module: nn.Module, first: int) -> None:
        self.module, self.first, self.best = module, first, float("inf")
        self.epoch = 0  # that is running, or would be next
        self.value: float | None = None
        self.best_epoch: int | None = None
        self.best_weights: dict[str, Any] = {}
        self.last_weights: dict[str, Any] = {}
        self.objectives: dict[int, float] = {}
        self.exception: BaseException | None = None

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the epoch's objective; epochs without a validation have none, not that of one before."""
        value = trainer.callback_metrics.get(MONITOR)
        self.value = None if value is None else float(value)

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

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Remember the exception, and let the plan give back what it does at the end of a training that has none."""
        self.exception = exception
        pl_module.teardown("fit")

    @property
    def chosen(self) -> dict[str, Any]:
        """The best weights, else those of the last epoch; empty before its end."""
        return self.best_weights or self.last_weights

    def describe(self) -> str:
        """What the chosen weights are, in words."""
        if self.best_epoch is not None:
            return f"weights of epoch {self.best_epoch}, the best so far"
        return f"weights of epoch {self.epoch - 1}"

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
