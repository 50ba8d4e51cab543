"""The encoder."""

from __future__ import annotations

import pytest
import torch

from mmvae.nn import Encoder


@pytest.mark.parametrize("n_layers", [1, 2, 3])
def test_a_posterior_without_dropout_is_that_outside_training(n_layers):
    torch.manual_seed(0)
    encoder = Encoder(5, 3, n_hidden=16, n_layers=n_layers, dropout_rate=0.5).train()
    hidden = torch.rand(4, 16)
    found = encoder.posterior(hidden, dropout=False)
    assert all(module.training for module in encoder.modules())
    if n_layers > 1:
        assert not torch.equal(encoder.posterior(hidden).loc, found.loc)
    wanted = encoder.eval().posterior(hidden)
    assert torch.equal(found.loc, wanted.loc)
    assert torch.equal(found.scale, wanted.scale)
