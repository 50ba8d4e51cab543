"""Warnings that do not apply are not shown in training."""

from __future__ import annotations

import warnings

import pytest

from mmvae.train import quiet


@pytest.mark.parametrize(
    "message",
    [
        "Sparse CSR tensor support is in beta state. If you miss a functionality",
        "Sparse invariant checks are implicitly disabled. Memory errors (e.g. SEGFAULT) will occur",
        "The 'train_dataloader' does not have many workers which may be a bottleneck",
    ],
)
def test_silence(message):
    with quiet():
        warnings.warn(message, UserWarning, stacklevel=1)


def test_other_warnings_are_heard():
    with quiet(), pytest.warns(UserWarning, match="the user's own"):
        warnings.warn("the user's own", UserWarning, stacklevel=1)
