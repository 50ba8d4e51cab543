"""Telling whether a training has failed because its numbers ran away."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

import torch
from scvi.module.base import LossOutput
from torch import Tensor, nn

GROWTH = 100.0  # times the largest weight at the start: where weights are larger, an error is one of divergence
ADVICE = "Try a lower lr, fewer or other features, or another likelihood for that modality."


class Seen(NamedTuple):
    """What tells whether a step came to something finite, and where it did not: its loss, the loss's parts, its cells."""

    loss: Tensor
    parts: dict[str, Tensor]
    cells: Tensor


def seen(losses: LossOutput, cells: Tensor) -> Seen:
    """Of a step on ``cells``, without gradients."""
    parts = {f"reconstruction of '{n}'": v.detach() for n, v in losses.reconstruction_loss.items()}
    parts |= {f"KL of '{n}'": v.detach() for n, v in losses.kl_local.items()}
    return Seen(losses.loss.detach(), parts, cells)


class NonFiniteError(ArithmeticError):
    """Training came to something that is NaN or infinite: ``found`` says what, ``cells`` in which minibatch."""

    def __init__(self, found: str, epoch: int, cells: Tensor | None = None) -> None:
        self.found, self.epoch = found, epoch
        self.cells: list[int] = [] if cells is None else cells.flatten().tolist()
        super().__init__(f"{found}, in epoch {epoch}")

    def describe(self, names_of: Callable[[list[int]], Iterable[Any]], state: str, n_before: int = 0) -> str:
        """What happened, to which cells, what weights the model holds now, and what to try.

        The epoch is told as ``history_`` counts it, after the ``n_before`` of earlier trainings.
        """
        names = ", ".join(f"'{name}'" for name in names_of(self.cells[:3]))
        where = f", for a minibatch of {len(self.cells)} cells such as {names}" if self.cells else ""
        epoch = n_before + self.epoch
        return f"Training stopped in epoch {epoch}: {self.found}{where}. The model holds the {state} {ADVICE}"


def posteriors_not_finite(encoders: Mapping[str, nn.Module], run: Callable[[], Any]) -> str:
    """Names of the modalities whose encoders give what is not finite when ``run`` is called, which may fail."""
    found: list[str] = []

    def look(name: str) -> Callable[..., None]:
        return lambda _, __, q: None if bool((q.loc.isfinite() & q.scale.isfinite()).all()) else found.append(name)

    hooks = [encoder.register_forward_hook(look(name)) for name, encoder in encoders.items()]
    with suppress(RuntimeError, ValueError), torch.no_grad():
        run()
    for hook in hooks:
        hook.remove()
    return " and ".join(f"'{name}'" for name in dict.fromkeys(found))


def weights_of(module: nn.Module) -> dict[str, Tensor]:
    """A copy of a module's weights and buffers."""
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


def are_finite(weights: Mapping[str, Tensor]) -> bool:
    """Whether all weights are finite; one wait for the device."""
    found = [value.isfinite().all() for value in weights.values()]
    return not found or bool(torch.stack(found).all())


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the computer's or a card's memory was too small."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError)


def divergence(error: BaseException, module: nn.Module, before: dict[str, Tensor], epoch: int) -> NonFiniteError | None:
    """What has diverged, where that explains ``error``; ``before`` are the weights at the start of training."""
    if isinstance(error, NonFiniteError):
        return error
    if is_out_of_memory(error) or not isinstance(error, RuntimeError | ValueError | ArithmeticError):
        return None
    trained = {n: value.detach() for n, value in module.named_parameters() if value.requires_grad and value.numel()}
    if not are_finite(trained):
        return NonFiniteError("the weights are not finite", epoch)
    now, then = (max(float(weights[name].abs().max()) for name in trained) for weights in (trained, before))
    if now > GROWTH * max(1.0, then):
        return NonFiniteError(f"the weights have grown to {now:.0e}", epoch)
    return None
