"""The adversary that reads the batch off the latent."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import mmvae
from mmvae import MultiVAE
from mmvae.module._adversary import BatchAdversary

pytestmark = pytest.mark.filterwarnings("ignore:The latent of", "ignore:The validation ELBO never")


def test_the_latent_gets_the_classifiers_gradient_reversed():
    torch.manual_seed(0)
    adversary = BatchAdversary(4, 3, weight=2.0)
    batch = torch.randint(0, 3, (20, 1))
    latent = torch.randn(20, 4, requires_grad=True)
    adversary(latent, batch, 0.5).sum().backward()
    plain = latent.detach().clone().requires_grad_()
    logits = adversary.layers(plain) @ adversary.output
    torch.nn.functional.cross_entropy(logits, batch.squeeze(1), reduction="sum").backward()
    assert torch.allclose(latent.grad, -2.0 * 0.5 * plain.grad, atol=1e-6)


def test_it_learns_to_tell_batches_apart():
    torch.manual_seed(0)
    adversary = BatchAdversary(2, 2, weight=1.0)
    batch = torch.randint(0, 2, (256, 1))
    latent = torch.randn(256, 2) + 3.0 * batch
    optimizer = torch.optim.Adam(adversary.parameters(), 1e-2)
    for _ in range(100):
        optimizer.zero_grad()
        adversary(latent, batch).mean().backward()
        optimizer.step()
    assert adversary(latent, batch).mean() < 0.2


def test_data_of_one_batch_have_none():
    mdata = mmvae.datasets.simulate(60, modalities={"rna": 20, "protein": 6})
    MultiVAE.setup_mudata(mdata)
    assert MultiVAE(mdata, n_hidden=8, n_latent=2, batch_adversary=10).module.adversary is None
    MultiVAE.setup_mudata(mdata, batch_key="batch")
    assert MultiVAE(mdata, n_hidden=8, n_latent=2).module.adversary is not None
    assert MultiVAE(mdata, n_hidden=8, n_latent=2, batch_adversary=0).module.adversary is None


def test_a_query_of_new_batches_takes_it_along(tmp_path):
    mdata = mmvae.datasets.simulate(80, modalities={"rna": 20, "protein": 6}, n_batches=2)
    MultiVAE.setup_mudata(mdata, batch_key="batch")
    model = MultiVAE(mdata, n_hidden=8, n_latent=2, batch_adversary=10)
    model.train(2, enable_progress_bar=False)
    model.save(tmp_path / "model")
    mdata.obs["batch"] = "new " + mdata.obs["batch"].astype(str)
    query = MultiVAE.load_query_data(mdata, str(tmp_path / "model"))
    query.train(1, enable_progress_bar=False)
    assert query.module.adversary.output.shape[1] == model.module.adversary.output.shape[1] + 2


def test_new_batches_map_onto_a_reference_of_one(tmp_path):
    mdata = mmvae.datasets.simulate(80, modalities={"rna": 20, "protein": 6}, n_batches=1)
    MultiVAE.setup_mudata(mdata, batch_key="batch")
    model = MultiVAE(mdata, n_hidden=8, n_latent=2)
    model.train(2, enable_progress_bar=False)
    model.save(tmp_path / "model")
    mdata.obs["batch"] = np.where(np.arange(80) % 2, "new", "newer")
    query = MultiVAE.load_query_data(mdata, str(tmp_path / "model"))
    query.train(1, enable_progress_bar=False)
    assert query.module.adversary is None
    assert np.isfinite(query.get_latent_representation()).all()
