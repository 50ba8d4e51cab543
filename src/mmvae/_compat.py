"""Differences between versions of the libraries that mmvae stands on."""

from contextlib import AbstractContextManager, nullcontext

import mudata
from scvi.model.base._de_core import _de_core as de_core

__all__ = ["de_core", "unpulled"]


def unpulled() -> AbstractContextManager[object]:
    """Context in which mudata 0.3 behaves as 0.4 does, and keeps its hands off ``obs``.

    Before, making, copying or reading a MuData copied columns of the modalities' ``obs`` to the MuData's, and put the cells
    of a mosaic in another order, unless an option that 0.4 no longer has was switched off.
    """
    set_options = getattr(mudata, "set_options", None)
    return nullcontext() if set_options is None else set_options(pull_on_update=False)
