"""A training step as one sequence of operations, captured and replayed. B cells."""

from collections.abc import Callable
from copy import copy
from dataclasses import fields
from typing import Any

import torch
from scvi.module.base import LossOutput
from torch import Tensor

from mmvae._keys import CELLS, PRESENT
from mmvae.module import MultiVAEModule, PaddedBuffers
from mmvae.nn import in_full_precision

from . import _graph
from ._capturable import decided_by, warn_of
from ._divergence import Seen, seen

WARM_STEPS = 3  # that libraries need before operations are captured
MOST_ROOMS = 10  # times that larger buffers are made
CAPTURED = "Training steps of {} cells are captured as a CUDA graph and replayed; those of other sizes are not."


class WholeStep:
    """Forward, loss, backward, clipping and optimiser, on buffers that a graph can be replayed on.

    Minibatches of other sizes than the first are trained on operation by operation. So is every one if capturing fails,
    with a warning. After a loss that is not finite the weights stay, as fused Adam heeds ``found_inf``.

    Parameters
    ----------
    module, optimizer
        What is trained, and by what.
    forward
        Gives the loss of a minibatch under a weight of the KL, a scalar.
    clip
        Clips the gradients.
    say
        Tells the user that steps are captured.
    """

    def __init__(
        self,
        module: MultiVAEModule,
        optimizer: torch.optim.Optimizer,
        forward: Callable[[dict[str, Tensor], Tensor], LossOutput],
        clip: Callable[[], None],
        say: Callable[[str], None],
    ) -> None:
        self.module, self.optimizer, self.forward, self.clip, self.say = module, optimizer, forward, clip, say
        self.device = next(module.parameters()).device
        self.failed = torch.zeros((), device=self.device)
        optimizer.found_inf = self.failed  # type: ignore[attr-defined]
        self.kl_weight, self.n_cells, self.n_rooms = torch.ones((), device=self.device), 0, 0
        self.buffers: PaddedBuffers | None = None
        self.graph: _graph.Graph | None = None
        self.losses: LossOutput | None = None
        self.is_captured = self.is_said = self.is_off = False
        self.n_warm = 0
        self.decided: list[Any] = []
        self._kept: Seen | None = None
        self._others: list[Seen] = []

    def __call__(self, tensors: dict[str, Tensor], kl_weight: Tensor) -> LossOutput:
        """Train on a minibatch; its loss and the loss's parts, without a gradient, of which the next call makes others."""
        self.kl_weight.copy_(kl_weight, non_blocking=True)
        if not self._has_room(tensors):
            return self._alone(tensors)
        assert self.buffers is not None
        self.buffers.fill(tensors)
        self._run_on_buffers(tensors)
        return _copied(self.losses)

    def look_again(self, *others: Any) -> None:
        """Capture anew if something has changed that Python decides by: which priors have started, or ``others``."""
        decided = [*others, *decided_by(self.module, self.optimizer)]
        if decided != self.decided:
            self.decided = decided
            self._start_over()

    def unseen(self) -> list[Seen]:
        """Losses since the last call: the first that was not finite, if any, or the last, and those of other sizes."""
        others, self._others = self._others, []
        return others if self._kept is None else [self._kept, *others]

    def _has_room(self, tensors: dict[str, Tensor]) -> bool:
        """Whether the minibatch fits the buffers, which are made larger for one of the right number of cells."""
        self.n_cells = self.n_cells or len(tensors[PRESENT])
        if self.is_off or len(tensors[PRESENT]) != self.n_cells:
            return False
        if self.buffers is not None and self.buffers.take(tensors):
            return True
        self.n_rooms += 1
        if self.n_rooms > MOST_ROOMS:
            self._give_up("minibatches differ in the form or number of their values too often")
            return False
        n_features = {name: self.module.likelihoods[name].n_features for name in self.module.names}
        self.buffers = PaddedBuffers(tensors, n_features, self.buffers)
        self._start_over()
        return True

    def _run_on_buffers(self, tensors: dict[str, Tensor]) -> None:
        graph = self.graph = self.graph or _graph.graph_on(self.device)
        assert graph is not None
        if self.is_captured:
            graph.replay()
        elif self.n_warm < WARM_STEPS:
            self.n_warm += 1
            graph.warm(self._on_buffers)
        elif self._captures(graph):
            graph.replay()
        else:
            self.losses = self._alone(tensors)

    def _captures(self, graph: _graph.Graph) -> bool:
        try:
            graph.capture(self._on_buffers)
        except (RuntimeError, TypeError, ValueError) as error:
            # A fault of the step itself is met again without a graph.
            self._give_up(f"{type(error).__name__}: {error}".splitlines()[0])
            return False
        self.is_captured = True
        if not self.is_said:
            self.is_said = True
            self.say(CAPTURED.format(self.n_cells))
        return True

    def _give_up(self, reason: str) -> None:
        self.is_off, self.buffers = True, None
        self._start_over()
        warn_of(reason)

    def _start_over(self) -> None:
        self.graph, self.losses, self.is_captured, self.n_warm = None, None, False, 0

    def _on_buffers(self) -> None:
        assert self.buffers is not None
        tensors = self.buffers.tensors
        losses = self.forward(tensors, self.kl_weight)
        self._keep(seen(losses, tensors[CELLS]))
        self.losses = self._improve(losses)

    def _alone(self, tensors: dict[str, Tensor]) -> LossOutput:
        """Operation by operation, on the minibatch as it is."""
        losses = self.forward(tensors, self.kl_weight)
        self._others.append(seen(losses, tensors[CELLS]))
        return self._improve(losses)

    def _improve(self, losses: LossOutput) -> LossOutput:
        """From the loss to the next weights."""
        self.failed.copy_(torch.maximum(self.failed, (~losses.loss.detach().isfinite()).to(self.failed)))
        self.optimizer.zero_grad()
        with in_full_precision(losses.loss):
            losses.loss.backward()
            self.clip()
            self.optimizer.step()
        return _copied(losses)

    def _keep(self, new: Seen) -> None:
        """Remember a step unless an earlier one has failed."""
        if self._kept is None:
            self._kept = Seen(torch.zeros_like(new.loss), {}, torch.zeros_like(new.cells))
            self._kept.parts.update({name: torch.zeros_like(value) for name, value in new.parts.items()})
        pairs = [(self._kept.loss, new.loss), (self._kept.cells, new.cells)]
        pairs += [(self._kept.parts[name], value) for name, value in new.parts.items()]
        for kept, value in pairs:
            kept.copy_(torch.where(self.failed > 0, kept, value))


def _copied(losses: Any) -> LossOutput:
    """The same numbers without gradients, with dictionaries of its own, as metrics are taken out of them."""
    found = copy(losses)
    for field in fields(losses):
        object.__setattr__(found, field.name, _detached(getattr(losses, field.name)))
    return found


def _detached(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _detached(own) for key, own in value.items()}
    return value.detach() if isinstance(value, Tensor) else value
