"""Differences between versions of the libraries that mmvae stands on."""

from contextlib import AbstractContextManager, nullcontext

import mudata
import torch
from scvi.model._utils import parse_device_args
from scvi.model.base._de_core import _de_core as de_core

__all__ = ["de_core", "device_of", "unpulled"]


def device_of(accelerator: str, device: int | str) -> torch.device:
    """The one device that arguments of scvi-tools mean."""
    options = {"return_device": "torch", "validate_single_device": True}
    return parse_device_args(accelerator=accelerator, devices=device, **options)[2]


def unpulled() -> AbstractContextManager[object]:
    """Context in which mudata 0.3 behaves as 0.4 does, and keeps its hands off ``obs``.

    Before, making, copying or reading a MuData copied columns of the modalities' ``obs`` to the MuData's, and put the cells
    of a mosaic in another order, unless an option that 0.4 no longer has was switched off.
    """
    set_options = getattr(mudata, "set_options", None)
    return nullcontext() if set_options is None else set_options(pull_on_update=False)
