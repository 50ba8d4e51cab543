"""Early stopping and the best epoch follow what is optimised."""

from __future__ import annotations

import numpy as np
import pytest
import torch

pytestmark = pytest.mark.filterwarnings("ignore:The latent of", "ignore:The validation ELBO never")
CHOICES = {
    "plain": ({}, {}),
    "weights": ({"modality_weights": {"protein": 0.01}}, {}),
    "kl_scale": ({"kl_scale": 0.1}, {}),
    "max_kl_weight": ({}, {"max_kl_weight": 0.3}),
    "all": ({"modality_weights": {"rna": 3.0}, "kl_scale": 2.0}, {"max_kl_weight": 0.5}),
}


@torch.no_grad()
def bounds(model, *, weights: dict[str, float], kl: float, draws: int = 50) -> float:
    """Weighted bound over the validation cells, by Monte Carlo."""
    cells = np.asarray(model.validation_indices_)
    tensors = next(iter(model._make_data_loader(model.adata, cells, len(cells))))
    found = []
    for _ in range(draws):
        loss = model.module(tensors)[-1]
        fit = sum(weights[name] * float(value.mean()) for name, value in loss.reconstruction_loss.items())
        found.append(fit + kl * sum(float(value.mean()) for value in loss.kl_local.values()))
    return float(np.mean(found))


def values(model, metric) -> np.ndarray:
    return model.history_[metric].iloc[:, 0].astype(float).to_numpy()


@pytest.mark.parametrize("choice", CHOICES)
def test_the_objective_is_the_bound_that_is_optimised(build, train, choice):
    arguments, plan_kwargs = CHOICES[choice]
    model = train(build(prior="normal", **arguments), 1, plan_kwargs=plan_kwargs)
    kl = arguments.get("kl_scale", 1.0) * plan_kwargs.get("max_kl_weight", 1.0)
    expected = bounds(model, weights={"rna": 1.0, "protein": 1.0} | arguments.get("modality_weights", {}), kl=kl)
    assert values(model, "objective_validation")[-1] == pytest.approx(expected, rel=0.02)
    plain = bounds(model, weights={"rna": 1.0, "protein": 1.0}, kl=1.0)
    assert values(model, "elbo_validation")[-1] == pytest.approx(plain, rel=0.02)


@pytest.mark.parametrize("choice", CHOICES)
def test_the_best_epoch_is_that_of_the_best_objective(build, train, choice):
    arguments, plan_kwargs = CHOICES[choice]
    model = train(build(**arguments), 6, plan_kwargs=plan_kwargs, early_stopping=False)
    assert model.best_epoch_ == 2 + int(np.argmin(values(model, "objective_validation")[2:]))


def test_the_objective_of_equal_weights_is_the_elbo(build, train):
    model = train(build(), 3)
    np.testing.assert_allclose(values(model, "objective_validation"), values(model, "elbo_validation"), rtol=1e-5)


def test_early_stopping_looks_at_the_objective(build, train):
    model = train(build(), 2)
    assert model.trainer.early_stopping_callback.monitor == "objective_validation"
