"""The start of the priors."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from mmvae.module import MultiVAEModule
from mmvae.nn import in_full_precision
from mmvae.priors import PosteriorSample

from ._divergence import NonFiniteError, are_finite

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
            if not are_finite(waiting[name].state_dict()):
                raise NonFiniteError(f"the prior of '{name}', fitted to the latents, is not finite", epoch)
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

    def state_dict(self) -> dict[str, Any]:
        """Which priors still wait."""
        return {"waiting": self.waiting}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Let those that were started be."""
        self.waiting = [(int(epoch), bool(late)) for epoch, late in state_dict["waiting"]]

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
