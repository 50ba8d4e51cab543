"""Training in other precisions than single."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mmvae import MultiVAE

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
