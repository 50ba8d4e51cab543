"""Interrupts of a training, under their own names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lightning.pytorch.utilities.exceptions import SIGTERMException

from mmvae._errors import TERMINATED

if TYPE_CHECKING:
    from ._callbacks import KeepWeights


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
