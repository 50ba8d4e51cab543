"""A training that is killed goes on in another process as if it had never stopped."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest
import torch

import mmvae
from mmvae import MultiVAE

pytestmark = pytest.mark.filterwarnings(
    "ignore:The latent of", "ignore:The validation ELBO never", "ignore:The training did not make"
)
# Of a model and of its training.
CASES = {
    "default": ({}, {}),
    "coupled": ({"prior": "coupled"}, {}),
    "tissue": ({"prior": "gmrf"}, {}),
    "early stopping": ({}, {"max_epochs": 30, "early_stopping_patience": 2, "lr": 0.02}),
    "every third epoch": ({"prior": "flow"}, {"checkpoint_every": 3}),
    "in steps": (
        {"prior": "vamp", "fusion": "attention"},
        {"plan_kwargs": {"n_steps_kl_warmup": 9, "weight_decay": 1e-3}},
    ),
    "no validation": ({}, {"validation_size": 0.0}),
}


def die(trainer, plan):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture
def make(in_a_ring):
    """Function that makes a model of the same data as any other process would."""

    def build(**arguments) -> MultiVAE:
        mdata = mmvae.datasets.simulate(80, modalities={"rna": 12, "protein": 6}, n_clusters=3, n_batches=2, seed=3)
        if arguments.get("prior") == "gmrf":
            in_a_ring(mdata)
        MultiVAE.setup_mudata(mdata, batch_key="batch")
        return MultiVAE(mdata, **{"n_hidden": 8, "n_latent": 2} | arguments)

    return build


def in_another_process(act) -> int:
    """How a process ended that forked off, and died or came to its end."""
    child = os.fork()
    if child == 0:
        try:
            act()
        finally:
            os._exit(0)
    return os.waitpid(child, 0)[1]


def assert_same(one, other) -> None:
    weights, others = one.module.state_dict(), other.module.state_dict()
    assert weights.keys() == others.keys()
    assert not [name for name, value in weights.items() if not torch.equal(value, others[name])]
    assert one.history_.keys() == other.history_.keys()
    for name, rows in one.history_.items():
        assert rows.equals(other.history_[name]), name
    assert one.best_epoch_ == other.best_epoch_
    np.testing.assert_array_equal(one.get_latent_representation(), other.get_latent_representation())
    assert one.training_report_ == other.training_report_


@pytest.mark.parametrize("case", CASES)
def test_a_killed_training_goes_on_as_if_it_had_not_been(make, train, at, tmp_path, case):
    model, training = CASES[case]
    epochs = training.get("max_epochs", 8)
    training = {name: value for name, value in training.items() if name != "max_epochs"}
    unbroken = train(make(**model), epochs, **training)
    killed = lambda: train(make(**model), epochs, checkpoint=tmp_path, callbacks=[at(5, die, in_step=True)], **training)
    assert in_another_process(killed) == signal.SIGKILL
    assert [path.name for path in tmp_path.iterdir()] == ["training.ckpt"]
    assert_same(train(make(**model), epochs, resume_from=tmp_path, **training), unbroken)
