"""Training in other precisions than single."""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np
import pytest
import torch

from mmvae import MultiVAE
from mmvae.train import tensor_cores

pytestmark = [
    pytest.mark.filterwarnings("ignore:The latent of", "ignore:The validation ELBO never"),
    pytest.mark.filterwarnings("ignore:You passed `Trainer\\(accelerator='cpu', precision='16-mixed'\\)`"),
]


@pytest.mark.parametrize("arguments", [{}, {"prior": "coupled"}, {"fusion": "poe"}, {"prior": "vamp"}], ids=str)
@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed", "64-true"])
def test_a_model_trains_and_reads_out(build, train, precision, arguments, tmp_path):
    model = train(build(**arguments), 4, precision=precision)
    assert all(prior.is_initialised for prior in model.module.priors.values())
    assert {value.dtype for value in model.module.parameters()} == {torch.float32}
    latent = model.get_latent_representation()
    assert latent.dtype == np.float32
    assert np.isfinite(latent).all()
    assert np.isfinite(model.get_normalized_expression(modality="rna").to_numpy()).all()
    assert np.isfinite(float(model.get_elbo()))
    model.save(tmp_path / "saved")
    loaded = MultiVAE.load(tmp_path / "saved", model.adata)
    np.testing.assert_array_equal(loaded.get_latent_representation(), latent)


@pytest.mark.parametrize("precision", ["bf16-mixed", "64-true"])
def test_other_precisions_learn_the_same(build, train, precision):
    single, other = (train(build(prior="normal"), 4, precision=p) for p in ("32-true", precision))
    bounds = [model.history_["elbo_validation"].iloc[-1, 0] for model in (single, other)]
    assert float(bounds[1]) == pytest.approx(float(bounds[0]), rel=0.05)


def precision_inside(wanted: bool, accelerator: str) -> str:
    with tensor_cores(wanted, accelerator):
        return torch.get_float32_matmul_precision()


@pytest.fixture
def card(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (8, 0))


def test_a_card_multiplies_in_tf32_while_it_trains(card, monkeypatch):
    assert [precision_inside(wanted=True, accelerator=name) for name in ("auto", "gpu", "cuda")] == ["high"] * 3
    assert torch.get_float32_matmul_precision() == "highest"
    assert precision_inside(wanted=True, accelerator="cpu") == "highest"
    assert precision_inside(wanted=False, accelerator="gpu") == "highest"
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (7, 5))
    assert precision_inside(wanted=True, accelerator="gpu") == "highest"


def test_the_precision_is_put_back_if_training_fails(card):
    with pytest.raises(ValueError, match="mine"), tensor_cores(True, "auto"):
        raise ValueError("mine")
    assert torch.get_float32_matmul_precision() == "highest"


def test_a_precision_that_was_chosen_stays(card):
    torch.set_float32_matmul_precision("medium")
    try:
        assert precision_inside(wanted=True, accelerator="gpu") == "medium"
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")


@pytest.mark.parametrize("tf32", [True, False])
def test_training_heeds_what_was_asked(build, train, monkeypatch, tf32):
    asked = []

    @contextmanager
    def cores(*arguments):
        asked.append(arguments)
        yield

    monkeypatch.setattr("mmvae.model._fitting.tensor_cores", cores)
    train(build(), 1, tf32=tf32)
    assert asked == [(tf32, "cpu")]
