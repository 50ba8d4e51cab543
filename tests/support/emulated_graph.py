"""A CUDA graph without a card: operations with their memory and numbers, recorded without an effect and done again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from device_waits import is_waiting
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

if TYPE_CHECKING:
    from collections.abc import Callable

# What cannot be captured beside what waits: to bring numbers to the device from memory that is not pinned, last.
FORBIDDEN = ("aten.bincount", "aten._linalg_check_errors", "aten.lift_fresh")


class CaptureError(RuntimeError):
    """An operation that a card refuses while it captures."""


class EmulatedGraph:
    """As :class:`torch.cuda.CUDAGraph`: numbers are those of the capture, tensors lie where they lay then.

    Whatever Python does beside operations, it does once.
    """

    def __init__(self, device: Any = None) -> None:
        self.tape: list[tuple[Any, Any, Any, list[Tensor]]] = []
        self.n_replays = self.n_warm = 0

    def warm(self, run: Callable[[], None]) -> None:
        self.n_warm += 1
        run()

    def capture(self, run: Callable[[], None]) -> None:
        noise, recorder = torch.get_rng_state(), _Recorder()
        try:
            with recorder:
                run()
        finally:
            recorder.undo()
            torch.set_rng_state(noise)
        self.tape = recorder.tape

    def replay(self) -> None:
        assert self.tape
        self.n_replays += 1
        # What was recorded is below automatic casts and gradients.
        with torch.no_grad(), torch.autocast("cpu", enabled=False):
            for func, args, kwargs, outputs in self.tape:
                given = _aliases((args, kwargs))
                for kept, value in zip(outputs, _tensors(func(*given[0], **given[1])), strict=True):
                    if _place(kept) != _place(value):
                        kept.copy_(value)


class _Recorder(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.tape: list[tuple[Any, Any, Any, list[Tensor]]] = []
        self.made: set[int] = set()
        self.before: dict[int, tuple[Any, Any]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if str(func).startswith(FORBIDDEN) or is_waiting(func, args, kwargs):
            msg = f"operation not permitted when stream is capturing: {func}"
            raise CaptureError(msg)
        for value in _written(func, args, kwargs):
            self._remember(value)
        given = {_place(value) for value in _tensors((args, kwargs))}
        as_given = _aliases((args, kwargs))
        result = func(*args, **kwargs)
        self.made |= {_place(value) for value in _tensors(result)} - given
        self.tape.append((func, *as_given, _tensors(_aliases(result))))
        return result

    def undo(self) -> None:
        """Take back what was written to memory that was there before."""
        for storage, content in self.before.values():
            storage.copy_(content)

    def _remember(self, value: Tensor) -> None:
        place = _place(value)
        if place not in self.made and place not in self.before:
            storage = value.untyped_storage()
            self.before[place] = storage, storage.clone()


def _written(func: Any, args: Any, kwargs: Any) -> list[Tensor]:
    """Arguments that an operation writes to."""
    arguments = func._schema.arguments
    given = [*zip(arguments, args, strict=False), *((a, kwargs[a.name]) for a in arguments if a.name in kwargs)]
    return _tensors([value for argument, value in given if argument.alias_info and argument.alias_info.is_write])


def _tensors(values: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]


def _aliases(values: Any) -> Any:
    """The same memory in tensors of their own, whose shapes no later operation changes."""
    return tree_map(lambda value: value.detach() if isinstance(value, Tensor) else value, values)


def _place(value: Tensor) -> int:
    return value.untyped_storage().data_ptr()
