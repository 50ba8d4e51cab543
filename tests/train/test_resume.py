"""A training that is killed goes on in another process as if it had never stopped."""

from __future__ import annotations

import os
import signal
import time

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
    "early stopping": ({}, {"max_epochs": 16, "early_stopping_patience": 2, "lr": 0.02}),
}
MORE = {
    "every third epoch": ({"prior": "flow"}, {"checkpoint_every": 3}),
    "in steps": ({"prior": "vamp", "fusion": "attention"}, {"plan_kwargs": {"n_steps_kl_warmup": 9}}),
    "no validation": ({"prior": "labels"}, {"validation_size": 0.0}),
    "weight decay": ({"fusion": "poe"}, {"weight_decay": 1e-3, "gradient_clip_val": 1.0}),
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
        MultiVAE.setup_mudata(mdata, batch_key="batch", labels_key="cluster")
        return MultiVAE(mdata, **{"n_hidden": 8, "n_latent": 2} | arguments)

    return build


def fork(act) -> int:
    """A process that does this and ends, with 1 if that fails."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            act()
            status = 0
        finally:
            os._exit(status)
    return child


def killed(act) -> None:
    """Do this in another process, which is killed at it."""
    assert os.waitpid(fork(act), 0)[1] == signal.SIGKILL


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


@pytest.mark.parametrize("case", [*CASES, *(pytest.param(c, marks=pytest.mark.slow) for c in MORE)])
def test_a_killed_training_goes_on_as_if_it_had_not_been(make, train, at, tmp_path, case):
    model, training = (CASES | MORE)[case]
    epochs = training.get("max_epochs", 6)
    training = {name: value for name, value in training.items() if name != "max_epochs"}
    unbroken = train(make(**model), epochs, **training)
    more = {"checkpoint": tmp_path, "callbacks": [at(4, die, in_step=True)]}
    killed(lambda: train(make(**model), epochs, **more, **training))
    assert [path.name for path in tmp_path.iterdir()] == ["training.ckpt"]
    assert_same(train(make(**model), epochs, resume_from=tmp_path, **training), unbroken)


@pytest.fixture
def begun(make, train, at, tmp_path):
    """Folder of a training of 4 epochs that was killed in the third."""
    killed(lambda: train(make(), 4, checkpoint=tmp_path / "saved", callbacks=[at(2, die)]))
    return tmp_path / "saved"


def test_a_second_training_goes_on_from_the_model_before(make, train, at, tmp_path):
    def again(model, **arguments):
        return train(train(model, 3), 5, seed=7, **arguments)

    unbroken = again(make())
    killed(lambda: again(make(), checkpoint=tmp_path, callbacks=[at(3, die)]))
    resumed = again(make(), resume_from=tmp_path)
    assert_same(resumed, unbroken)
    assert len(resumed.history_["elbo_train"]) == 8
    before = resumed.get_latent_representation()
    with pytest.raises(ValueError, match="the model before is one of weights .*, it was one of weights"):
        train(resumed, 5, seed=7, resume_from=tmp_path)
    with pytest.raises(ValueError, match="the model before is not trained, it was one of weights"):
        train(make(), 5, seed=7, resume_from=tmp_path)
    np.testing.assert_array_equal(resumed.get_latent_representation(), before)


def test_the_same_model_goes_on_after_an_interrupt(make, train, at, begun, tmp_path):
    def interrupt(trainer, plan):
        raise KeyboardInterrupt

    model = make()
    with pytest.raises(KeyboardInterrupt) as caught:
        train(model, 4, checkpoint=tmp_path / "other", callbacks=[at(2, interrupt)])
    assert f"train(resume_from='{tmp_path / 'other'}') goes on" in caught.value.__notes__[0]
    assert_same(train(model, 4, resume_from=tmp_path / "other"), train(make(), 4, resume_from=begun))


def test_a_query_goes_on(make, train, at, tmp_path):
    reference = train(make(), 2)

    def query():
        mdata = mmvae.datasets.simulate(60, modalities={"rna": 12, "protein": 6}, n_clusters=3, n_batches=1, seed=4)
        mdata.obs["batch"] = "new"
        return MultiVAE.load_query_data(mdata, reference)

    killed(lambda: train(query(), 4, checkpoint=tmp_path, callbacks=[at(3, die)]))
    assert_same(train(query(), 4, resume_from=tmp_path), train(query(), 4))


def test_of_a_training_that_has_ended_the_model_is_given(make, train, tmp_path):
    done = train(make(), 4, checkpoint=tmp_path)
    with pytest.warns(UserWarning, match="had ended, after 4 epochs; the model is what it led to"):
        found = train(make(), 4, resume_from=tmp_path)
    found.training_report_.pop(0)
    assert_same(found, done)


def test_saving_does_not_change_the_training(make, train, tmp_path):
    # Of the same folder for both there is nothing to go on from yet.
    assert_same(train(make(), 3, checkpoint=tmp_path, resume_from=tmp_path), train(make(), 3))


def other_values(model, train, folder):
    model.adata["rna"].X.data[:] += 1
    MultiVAE.setup_mudata(model.adata, batch_key="batch")
    train(MultiVAE(model.adata, n_hidden=8, n_latent=2), 4, resume_from=folder)


def other_batches(model, train, folder):
    model.adata.obs["batch"] = model.adata.obs["batch"].to_numpy()[::-1]
    MultiVAE.setup_mudata(model.adata, batch_key="batch")
    train(MultiVAE(model.adata, n_hidden=8, n_latent=2), 4, resume_from=folder)


def others(**arguments):
    return lambda model, train, folder: train(model, **{"max_epochs": 4, "resume_from": folder} | arguments)


OTHERS = {
    "epochs": (others(max_epochs=6), "max_epochs is 6, it was 4"),
    "arguments": (
        others(lr=0.1, batch_size=7, seed=9),
        r"batch_size is 7, it was 18; lr is 0.1, it was 0.002; .*seed of",
    ),
    "cells": (others(train_size=0.5), r"training cells is 40 \(.*it was 72 \("),
    "clipping": (others(gradient_clip_val=1.0), "gradient_clip_val is 1.0, it was 50.0"),
    "values": (other_values, "mean value of 'rna' is"),
    "batches": (other_batches, "column 'batch' is"),
    "both": (others(from_scratch=True), "from_scratch=True or resume_from=; got both"),
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The training in .* had ended")
@pytest.mark.parametrize("prior", ["mog", "coupled"])
def test_a_training_that_is_killed_at_many_random_moments_comes_to_the_same(make, train, tmp_path, prior):
    def some_more() -> None:
        both = dict.fromkeys(("checkpoint", "resume_from"), tmp_path / "saved")
        train(make(prior=prior), 40, early_stopping=False, **both).save(tmp_path / "done")

    rng, n_killed = np.random.default_rng(0), 0
    while not (tmp_path / "done").exists():
        child = fork(some_more)
        if n_killed < 25:
            time.sleep(rng.uniform(0.2, 1.5))
            os.kill(child, signal.SIGKILL)
            n_killed += 1
        assert os.waitpid(child, 0)[1] in (0, signal.SIGKILL)
    assert sorted(path.name for path in (tmp_path / "saved").iterdir() if not path.name.startswith(".")) == [
        "training.ckpt"
    ]
    unbroken = train(make(prior=prior), 40, early_stopping=False)
    found = MultiVAE.load(tmp_path / "done", unbroken.adata)
    assert not [n for n, v in unbroken.module.state_dict().items() if not torch.equal(v, found.module.state_dict()[n])]
    assert found.best_epoch_ == unbroken.best_epoch_


@pytest.mark.parametrize("case", OTHERS)
def test_a_training_with_something_else_is_refused(make, train, begun, case):
    act, message = OTHERS[case]
    model = make()
    before = {name: value.clone() for name, value in model.module.state_dict().items()}
    with pytest.raises(ValueError, match=message):
        act(model, train, begun)
    assert all(torch.equal(value, before[name]) for name, value in model.module.state_dict().items())
    assert not model.is_trained_


def test_another_model_is_refused(make, train, begun):
    with pytest.raises(ValueError, match=r"n_hidden is 9, it was 8; .*dropout_rate is 0.0, it was 0.1"):
        train(make(n_hidden=9, dropout_rate=0.0), 4, resume_from=begun)


class Payload:
    def __reduce__(self):
        return os.mkdir, ("ran",)


def flipped(data: bytes) -> bytes:
    """With one bit of a weight changed."""
    at = len(data) // 2
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


SPOILT = {
    "torn": lambda path: path.write_bytes(path.read_bytes()[:-1_000]),
    "spoilt": lambda path: path.write_bytes(path.read_bytes().replace(b"weights", b"weighty")),
    "damaged": lambda path: path.write_bytes(flipped(path.read_bytes())),
    "empty": lambda path: path.write_bytes(b""),
    "of someone else": lambda path: torch.save({"state_dict": {}}, path),
    "of a stranger": lambda path: torch.save({"format": 1, "epoch": Payload()}, path),
}


@pytest.mark.parametrize("how", SPOILT)
def test_what_is_no_saved_training_is_refused_and_not_run(make, train, begun, monkeypatch, tmp_path, how):
    monkeypatch.chdir(tmp_path)
    SPOILT[how](begun / "training.ckpt")
    model = train(make(), 1)
    before = model.get_latent_representation()
    with pytest.raises(ValueError, match=r"training.ckpt' .*Train without resume_from"):
        train(model, 4, resume_from=begun)
    np.testing.assert_array_equal(model.get_latent_representation(), before)
    assert not (tmp_path / "ran").exists()


def test_folders_that_cannot_be_used_are_refused(make, train, begun, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"which has no training.ckpt"):
        train(make(), 4, resume_from=tmp_path / "nothing")
    kept = (begun / "training.ckpt").read_bytes()
    with pytest.raises(FileExistsError, match="which holds one. Go on with it by resume_from, or remove it"):
        train(make(), 4, checkpoint=begun)
    assert (begun / "training.ckpt").read_bytes() == kept
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="which cannot be made"):
        train(make(), 4, checkpoint=tmp_path / "file" / "folder")


def test_a_full_disk_does_not_end_a_training(make, train, at, tmp_path, monkeypatch):
    def fill(trainer, plan):
        monkeypatch.setattr(torch, "save", full)

    def full(*_):
        raise OSError(28, "No space left on device")

    with pytest.warns(UserWarning, match="cannot be saved in .* goes on unsaved.*No space left") as caught:
        model = train(make(), 4, checkpoint=tmp_path, callbacks=[at(1, fill)])
    assert len([w for w in caught if "unsaved" in str(w.message)]) == 1
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == ["training.ckpt"]  # of the epoch before
    assert_same(train(make(), 4, resume_from=tmp_path), model)


def test_what_another_process_saves_is_left_alone(make, train, at, tmp_path, begun):
    def intrude(trainer, plan):
        os.replace(begun / "training.ckpt", tmp_path / "training.ckpt")

    there = (begun / "training.ckpt").read_bytes()
    with pytest.warns(UserWarning, match="goes on unsaved: another process has saved a training there"):
        train(make(), 4, checkpoint=tmp_path, callbacks=[at(2, intrude)])
    assert (tmp_path / "training.ckpt").read_bytes() == there


def test_a_data_module_goes_on(make, train, at, tmp_path):
    def parts():
        module = mmvae.MosaicDataModule(make().adata, batch_size=16)
        return MultiVAE(registry=module.registry, n_hidden=8, n_latent=2), module

    def run(**arguments):
        model, module = parts()
        return train(model, 4, datamodule=module, **arguments)

    killed(lambda: run(checkpoint=tmp_path, callbacks=[at(2, die, in_step=True)]))
    assert_same(run(resume_from=tmp_path), run())
