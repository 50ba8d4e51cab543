"""Interrupts of a training, under their own names."""

from lightning.pytorch.utilities.exceptions import SIGTERMException

from mmvae._errors import TERMINATED

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
