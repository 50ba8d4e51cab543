"""Early stopping and the best epoch follow what is optimised."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import mmvae
from mmvae import MultiVAE

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


def test_an_epoch_without_a_validation_is_not_the_best(build, train):
    model = train(build(), 8, check_val_every_n_epoch=2, early_stopping=False)
    assert model.best_epoch_ % 2 == 1


@pytest.mark.parametrize("largest", [0.1, 5.0])
def test_the_weight_of_the_kl_is_not_that_of_the_adversary(build, train, largest, monkeypatch):
    model, seen = build(), []
    original = type(model.module).terms

    def spy(module, step, schedule=1.0):
        seen.append(float(schedule))
        return original(module, step, schedule)

    monkeypatch.setattr(type(model.module), "terms", spy)
    train(model, 6, plan_kwargs={"max_kl_weight": largest, "n_epochs_kl_warmup": 2})
    assert max(seen) == pytest.approx(1.0)


def test_the_nats_of_a_rare_modality_are_those_of_the_cells_that_have_it(train):
    mdata = mmvae.datasets.simulate(
        200, modalities={"rna": 20, "protein": 8}, n_batches=1, missing={"rna": 0.96, "rna+protein": 0.04}
    )
    MultiVAE.setup_mudata(mdata)
    model = train(MultiVAE(mdata, n_hidden=8, n_latent=3, prior="normal"), 3, batch_size=8, lr=1e-9, train_size=1.0)
    has = model.adata.obsm["protein"]
    losses = [model.module(t)[-1] for t in model._make_data_loader(model.adata, np.flatnonzero(has), 8)]
    expected = float(torch.cat([loss.kl_local["protein"].detach() for loss in losses]).mean())
    assert values(model, "kl_protein_train")[-1] == pytest.approx(expected, rel=0.2)
