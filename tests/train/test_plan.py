"""The optimiser, and how often losses are looked at."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback

import mmvae
from mmvae import MultiVAE, TrainingDivergedError
from mmvae.train import MultiVAEPlan

pytestmark = pytest.mark.filterwarnings("ignore:The latent of", "ignore:The validation ELBO never")


def trained(model):
    return (weights for weights in model.module.parameters() if weights.requires_grad)


def decays(model) -> list[float]:
    (optimizer,) = model.trainer.optimizers
    return [group["weight_decay"] for group in optimizer.param_groups]


# A hidden layer of 16 and 72 training cells.
SHRUNK = 16 / (2 * 72)


@pytest.mark.parametrize(
    ("plan_kwargs", "expected"),
    [
        (None, [0.0, SHRUNK]),
        ({"weight_decay": 0.1}, [0.1, 0.1 + SHRUNK]),
        ({"loading_sd": 0.5}, [0.0, 4 * SHRUNK]),
        ({"loading_sd": None}, [0.0]),
    ],
)
def test_weights_decay_as_their_prior_says_and_where_asked(build, train, plan_kwargs, expected):
    assert sorted(decays(train(build(), 1, plan_kwargs=plan_kwargs))) == pytest.approx(expected)


def test_what_the_prior_shrinks_are_the_loadings(build, train):
    model = train(build(), 1)
    (optimizer,) = model.trainer.optimizers
    (shrunk,) = [group["params"] for group in optimizer.param_groups if group["weight_decay"]]
    assert {tuple(weights.shape) for weights in shrunk} == {(20, 16), (6, 16)}
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(list(trained(model)))


@pytest.mark.filterwarnings("ignore:The validation ELBO was best")
def test_features_of_noise_are_not_learnt_by_heart(train):
    rng = np.random.default_rng(0)
    adata = ad.AnnData(rng.poisson(0.3, (100, 400)).astype(np.float32))
    MultiVAE.setup_anndata(adata)
    lost = {}
    for sd in (1.0, None):
        model = train(MultiVAE(adata, n_hidden=32), 60, early_stopping=False, plan_kwargs={"loading_sd": sd})
        curve = model.history_["objective_validation"].iloc[:, 0].astype(float)
        lost[sd] = curve.iloc[-1] - curve.min()
    assert lost[1.0] < 0.75 * lost[None]


def test_weights_of_a_reference_never_decay():
    mdata = mmvae.datasets.simulate(80, modalities={"rna": 20, "protein": 6}, n_clusters=3, n_batches=2, seed=0)
    MultiVAE.setup_mudata(mdata, batch_key="batch")
    reference = MultiVAE(mdata, n_hidden=16, n_latent=3)
    reference.train(1, accelerator="cpu", enable_progress_bar=False)
    query = mmvae.datasets.simulate(40, modalities={"rna": 20, "protein": 6}, n_clusters=3, n_batches=1, seed=1)
    query.obs["batch"] = "new"
    mapped = MultiVAE.load_query_data(query, reference)
    mapped.train(1, accelerator="cpu", enable_progress_bar=False, plan_kwargs={"weight_decay": 0.1})
    assert decays(mapped) == [0.0]


def test_losses_are_looked_at_every_few_steps_on_an_accelerator(build, train, monkeypatch):
    monkeypatch.setattr(MultiVAEPlan, "_steps_between_looks", 3)
    looks, look = [], MultiVAEPlan._look
    monkeypatch.setattr(MultiVAEPlan, "_look", lambda plan: (looks.append(len(plan._unseen)), look(plan)))
    train(build(), 2)
    # 4 minibatches an epoch: a look after the third, and one at its end
    assert looks == [3, 1, 3, 1]


@pytest.mark.parametrize("cut", ["max_steps", "should_stop"])
def test_callbacks_find_the_metrics_of_an_epoch_that_is_cut_short(build, train, cut):
    seen = []

    class Look(Callback):
        def on_train_batch_end(self, trainer, plan, outputs, batch, batch_idx):
            trainer.should_stop = cut == "should_stop" and trainer.global_step == 6

        def on_train_epoch_end(self, trainer, plan):
            seen.append(float(trainer.callback_metrics["objective_train"]))

    model = build()
    # 4 minibatches an epoch
    train(model, 3, callbacks=[Look()], **({"max_steps": 6} if cut == "max_steps" else {}))
    assert seen == pytest.approx([float(value) for value in model.history_["objective_train"].iloc[:, 0]])
    assert len(seen) == 2


@pytest.mark.parametrize("spoilt", range(4))
def test_a_late_look_names_the_step_that_went_wrong(build, train, monkeypatch, spoilt):
    monkeypatch.setattr(MultiVAEPlan, "_steps_between_looks", 3)
    cells, original = [], MultiVAEPlan.forward

    def forward(plan, batch, *args, **kwargs):
        outputs = original(plan, batch, *args, **kwargs)
        cells.append(batch["ind_x"].flatten().tolist())
        if len(cells) == spoilt + 1:
            loss = outputs[-1]
            loss.kl_local["rna"] = loss.kl_local["rna"] * torch.nan
            loss.loss = loss.loss * torch.nan
        return outputs

    monkeypatch.setattr(MultiVAEPlan, "forward", forward)
    with pytest.raises(TrainingDivergedError, match="not finite in the KL of 'rna'") as caught:
        train(build(), 3)
    assert all(f"'cell_{cell}'" in str(caught.value) for cell in cells[spoilt][:3])


def test_a_callback_that_reads_does_not_end_dropout(build, train, at):
    model = train(build(), 1)
    modes = []
    read = at(1, lambda *_: model.get_latent_representation())
    look = at(1, lambda trainer, plan: modes.append(plan.module.training), in_step=True)
    train(model, 3, callbacks=[read, look])
    assert modes == [True]


def test_a_callback_may_leave_out_a_step(build, train):
    class Skip(Callback):
        def on_after_backward(self, trainer, plan):
            if trainer.global_step == 1:
                trainer.optimizers[0].zero_grad()

    assert train(build(), 1, callbacks=[Skip()]).is_trained


def test_the_weight_of_the_kl_follows_a_schedule_that_a_callback_changes(build, train):
    found = []

    class Change(Callback):
        def on_train_batch_start(self, trainer, plan, batch, batch_idx):
            if trainer.global_step == 5:  # the second minibatch of the second epoch
                plan.n_epochs_kl_warmup = 20
            found.append(float(plan.kl_weight))

    train(build(), 2, callbacks=[Change()], plan_kwargs={"n_epochs_kl_warmup": 4})
    assert found[4:6] == pytest.approx([1 / 4, 1 / 20])
