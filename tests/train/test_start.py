"""The priors start whatever the arguments of training."""

from __future__ import annotations

import numpy as np
import pytest
from lightning.pytorch.callbacks import EarlyStopping

import mmvae
from mmvae import MultiVAE
from mmvae.model._cells import OwnCells
from mmvae.priors import MixtureOfGaussians

pytestmark = pytest.mark.filterwarnings("ignore:The latent of", "ignore:The validation ELBO never")
WARMUPS = [{"n_epochs_kl_warmup": n} for n in (None, 0, 2, 6, 400)] + [{"n_steps_kl_warmup": n} for n in (6, 10**6)]


@pytest.fixture
def labelled():
    mdata = mmvae.datasets.simulate(80, modalities={"rna": 20, "protein": 6}, n_clusters=3, seed=0)
    MultiVAE.setup_mudata(mdata, labels_key="cluster")
    return mdata


def started(model) -> list[bool]:
    return [prior.is_initialised for prior in model.module.priors.values()]


@pytest.mark.parametrize("plan_kwargs", WARMUPS, ids=str)
@pytest.mark.parametrize("prior", ["mog", "labels"])
def test_priors_start_whatever_the_warmup(labelled, train, prior, plan_kwargs):
    model = train(MultiVAE(labelled, n_hidden=16, n_latent=3, prior=prior), 6, plan_kwargs=plan_kwargs)
    assert all(started(model))
    assert model.best_epoch_ is not None


@pytest.mark.parametrize("prior", ["mog", "labels"])
@pytest.mark.parametrize(
    "arguments",
    [
        {"max_epochs": 1},
        {"max_epochs": 2},
        {"max_epochs": 3, "validation_size": 0.0},
        {"max_epochs": 60, "max_steps": 9},
        {"max_epochs": 60, "callbacks": [EarlyStopping("validation_loss", min_delta=1e9, patience=1)]},
    ],
    ids=["one", "two", "no validation", "steps", "stopped"],
)
def test_priors_start_however_short_the_training(labelled, train, prior, arguments):
    model = train(MultiVAE(labelled, n_hidden=16, n_latent=3, prior=prior), **arguments)
    assert all(started(model))


def test_warmup_in_steps_is_heeded(build, train):
    model = train(build(), 6, plan_kwargs={"n_steps_kl_warmup": 10}, early_stopping=False)
    weights = model.history_["kl_weight"].iloc[:, 0].astype(float)
    assert weights.max() == 1
    assert weights.iloc[0] < 0.5


@pytest.mark.filterwarnings("ignore:The prior of 'protein'")
def test_a_prior_without_cells_to_learn_from_is_named(build, train, monkeypatch):
    monkeypatch.setattr(MixtureOfGaussians, "init_from", lambda self, sample: None)
    with pytest.warns(UserWarning, match="prior of 'rna' is still N"):
        train(build(), 3)


def test_rare_modalities_and_labels_start_from_all_of_their_cells(monkeypatch):
    monkeypatch.setattr("mmvae.model._cells.PRIOR_CELLS", 20)
    mdata = mmvae.datasets.simulate(
        300, modalities={"rna": 20, "protein": 6}, n_batches=1, missing={"rna": 0.97, "rna+protein": 0.03}
    )
    mdata.obs["label"] = np.where(np.arange(300) % 30 == 0, "a", "unknown")
    MultiVAE.setup_mudata(mdata, labels_key="label", unlabeled_category="unknown")
    model = MultiVAE(mdata, n_hidden=8, n_latent=3)
    read = [model.module.minibatch(tensors) for tensors in OwnCells(model, (np.arange(300), (), ())).some()]
    assert sum(int(minibatch.present[:, 1].sum()) for minibatch in read) == int(mdata.obsm["protein"].sum())
    assert sum(int((minibatch.annotations.labels >= 0).sum()) for minibatch in read) == 10
