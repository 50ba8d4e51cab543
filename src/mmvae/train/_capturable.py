"""Whether training steps can be captured as a CUDA graph, and when they must be captured anew."""

import warnings
from collections.abc import Iterator
from typing import Any

import torch
from lightning.pytorch.callbacks import Callback, GradientAccumulationScheduler, LambdaCallback
from lightning.pytorch.strategies import SingleDeviceStrategy
from torch import Tensor

from mmvae.fusion import ALL_PATTERNS_UP_TO
from mmvae.module import MultiVAEModule

from . import _graph

BETWEEN = ("on_before_zero_grad", "on_before_backward", "on_after_backward", "on_before_optimizer_step")
AROUND = ("on_train_batch_start", "on_train_batch_end")
KNOWN = ("lightning", "mmvae", "scvi")  # whose callbacks change nothing around a step


def why_not(trainer: Any, module: Any) -> str:
    """Why steps cannot be captured; empty if they can."""
    plugin, callbacks = trainer.precision_plugin, trainer.callbacks
    needing = [type(c).__name__ for c in callbacks if any(_overrides(c, hook) for hook in BETWEEN)]
    adds_up = any(isinstance(c, GradientAccumulationScheduler) for c in callbacks)
    is_module = isinstance(module, MultiVAEModule)
    looks = is_module and len(module.names) > ALL_PATTERNS_UP_TO and any(p.is_joint for p in module.priors.values())
    reasons = {
        "there is no card": _graph.graph_on(trainer.strategy.root_device) is None,
        "several processes or devices train": not isinstance(trainer.strategy, SingleDeviceStrategy),
        f"precision '{trainer.precision}' scales the loss": getattr(plugin, "scaler", None) is not None,
        "gradients of several minibatches are added up": adds_up or trainer.accumulate_grad_batches != 1,
        f"callbacks act within a step ({', '.join(needing)})": bool(needing),
        "the network is compiled": not is_module,
        f"prior 'coupled' over more than {ALL_PATTERNS_UP_TO} modalities looks at its cells": looks,
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def warn_of(reason: str) -> None:
    """Tell a user who asked for it that steps are not captured."""
    warnings.warn(f"Training steps are not captured as a CUDA graph: {reason}.", UserWarning, stacklevel=2)


def acts_around_steps(callback: Callback) -> bool:
    """Whether a callback of the user's does something before or after steps, which may change what Python decides by."""
    is_known = type(callback).__module__.split(".")[0] in KNOWN and not isinstance(callback, LambdaCallback)
    return not is_known and any(_overrides(callback, hook) for hook in AROUND)


def _overrides(callback: Callback, hook: str) -> bool:
    # Functions that an object was given of its own belong to no class.
    return getattr(getattr(callback, hook), "__func__", None) is not getattr(Callback, hook)


def decided_by(module: MultiVAEModule, optimizer: torch.optim.Optimizer) -> Iterator[Any]:
    """Numbers and flags of all parts, which objects they have, and where their tensors lie."""
    yield torch.is_autocast_enabled(module.device.type), torch.get_autocast_dtype(module.device.type)
    graphs = [prior.graph for prior in module.priors.values() if prior.graph is not None]
    for part in [*module.modules(), *graphs]:
        for value in vars(part).values():
            yield from map(_mark, value.values() if isinstance(value, dict) else [value])
    for group in optimizer.param_groups:
        yield [_mark(value) for name, value in group.items() if name != "params"]


def _mark(value: Any) -> Any:
    """What tells a value from another."""
    if isinstance(value, Tensor):
        return value.data_ptr(), value.shape, value.requires_grad
    return value if isinstance(value, bool | int | float | str | None) else id(value)
