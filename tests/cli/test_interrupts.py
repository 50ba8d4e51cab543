"""What a shell learns of a command that was told to end."""

from __future__ import annotations

import os
import signal

import pytest
from lightning.pytorch.callbacks import Callback

import mmvae
from mmvae import MultiVAE
from mmvae.cli import main
from mmvae.cli._files import write


class Send(Callback):
    """Sends the process a signal after the first step."""

    def __init__(self, number: int) -> None:
        self.number = number

    def on_train_batch_end(self, *_) -> None:
        os.kill(os.getpid(), self.number)


@pytest.fixture(autouse=True)
def heeds_interrupts():
    """As in a terminal: shells make programs in their background deaf to Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    ("number", "code", "word"), [(signal.SIGTERM, 143, "Terminated."), (signal.SIGINT, 130, "Interrupted.")]
)
def test_a_signal_in_training_is_no_success(tmp_path, monkeypatch, capsys, number, code, word):
    write(mmvae.datasets.simulate(60), tmp_path / "in.h5mu")
    train = MultiVAE.train
    monkeypatch.setattr(MultiVAE, "train", lambda *given, **options: train(*given, **options, callbacks=[Send(number)]))
    out = tmp_path / "out.h5mu"
    assert main(["fit", str(tmp_path / "in.h5mu"), "--out", str(out), "--epochs", "3"]) == code
    said = capsys.readouterr()
    *_, last, stopped, advice = said.err.splitlines()
    assert last == f"mmvae fit: {word}"
    assert stopped == "Training stopped in epoch 0. The model holds the initial weights."
    assert "Nothing of it was saved: with --checkpoint DIR --resume" in advice
    assert "Exception" not in said.out
    assert [path.name for path in tmp_path.iterdir()] == ["in.h5mu"]
