"""A graphics card that is not there: tensors are marked as if they lay on one, and mixing them with others fails."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from unittest import mock

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.strategies import Strategy
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

if TYPE_CHECKING:
    from collections.abc import Iterator

CARD, PROCESSOR = torch.device("cuda", 0), torch.device("cpu")
MARK = "_on_pretended_card"
# What takes tensors of either place together: copying, and indices on the processor of what is on the card.
COPYING, INDEXING = {"copy_", "__set__"}, {"__getitem__", "__setitem__"}


@contextmanager
def pretended_gpu() -> Iterator[None]:
    """In this context modules are marked as on the card when they are sent anywhere, and minibatches of training, too."""
    to_device = Strategy.batch_to_device
    with (
        mock.patch.object(nn.Module, "to", _to_card),
        mock.patch.object(LightningModule, "to", _to_card),
        mock.patch.object(LightningModule, "cpu", lambda module: module),
        mock.patch.object(Strategy, "batch_to_device", lambda *a, **k: tree_map(_marked, to_device(*a, **k))),
        _Card(),
    ):
        yield


def on_card(value: Any) -> bool:
    """Whether it is a tensor that is marked."""
    return isinstance(value, Tensor) and getattr(value, MARK, False)


def _to_card(module: nn.Module, *_: Any, **__: Any) -> nn.Module:
    for tensor in [*module.parameters(), *module.buffers()]:
        _marked(tensor)
    return module


def _marked(value: Any) -> Any:
    if isinstance(value, Tensor):
        setattr(value, MARK, True)
    return value


class _Card(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        here = any(map(on_card, tree_leaves((args, kwargs))))
        if name == "__get__" and getattr(func, "__self__", None) is Tensor.device:
            return CARD if here else PROCESSOR
        if name in {"cpu", "numpy", "__array__", "to"}:
            return self._moved(name, func, args, kwargs)
        asked = kwargs.pop("device", None)
        result = func(*args, **kwargs)
        self._check(name, args, kwargs)
        if asked is not None:
            here = torch.device(asked).type == CARD.type
            result = tree_map(lambda value: value.clone() if isinstance(value, Tensor) else value, result)
        return tree_map(_marked, result) if here else result

    @staticmethod
    def _moved(name: str, func: Any, args: Any, kwargs: Any) -> Any:
        tensor, *others = args
        if name in {"numpy", "__array__"}:
            if on_card(tensor):
                msg = "can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu()"
                raise TypeError(msg)
            return func(*args, **kwargs)
        target = on_card(tensor)
        if name == "cpu":
            target = False
        for wanted in [*others, kwargs.pop("device", None)]:
            if isinstance(wanted, Tensor):
                target = on_card(wanted)
            elif isinstance(wanted, torch.device | str):
                target = torch.device(wanted).type == CARD.type
        rest = [each for each in others if not isinstance(each, torch.device | str)]
        kwargs.pop("non_blocking", None)
        moved = (tensor.to(*rest, **kwargs) if rest or kwargs else tensor).clone()
        return _marked(moved) if target else moved

    @staticmethod
    def _check(name: str, args: Any, kwargs: Any) -> None:
        if name in COPYING:
            return
        if name in INDEXING and on_card(args[0]):
            # A slice is copied to; what an index of numbers is given must be on the card.
            chosen = any(isinstance(leaf, Tensor) for leaf in tree_leaves(args[1]))
            args = (args[0], args[2] if chosen and len(args) > 2 else None)
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        # A single number on the processor goes with anything.
        if len({on_card(tensor) for tensor in tensors if tensor.ndim > 0 or on_card(tensor)}) < 2:
            return
        msg = f"{name}: expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu"
        raise RuntimeError(msg)
