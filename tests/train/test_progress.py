"""Training tells how far it is: by a bar where someone looks, in a few lines in a log, always on stderr."""

from __future__ import annotations

import sys

import pytest
from lightning.pytorch.callbacks import Callback, TQDMProgressBar

import mmvae
from mmvae import MultiVAE
from mmvae.train import Progress

pytestmark = pytest.mark.filterwarnings("ignore:The latent of", "ignore:The validation ELBO never")


@pytest.fixture(scope="module")
def mdata():
    mdata = mmvae.datasets.simulate(60, modalities={"rna": 20, "protein": 5}, n_clusters=3)
    MultiVAE.setup_mudata(mdata)
    return mdata


def train(mdata, n_epochs=7, **kwargs) -> MultiVAE:
    model = MultiVAE(mdata, n_hidden=8, n_latent=2)
    model.train(n_epochs, accelerator="cpu", early_stopping=False, **kwargs)
    return model


@pytest.fixture
def three_lines(monkeypatch):
    """As many in a training as can be had of whole epochs."""
    monkeypatch.setattr("mmvae.train._progress.LINES", 3)


class StopAfter(Callback):
    """Stops training after a number of epochs."""

    def __init__(self, n_epochs: int) -> None:
        self.n_epochs = n_epochs

    def on_train_epoch_end(self, trainer, pl_module) -> None:
        trainer.should_stop = trainer.current_epoch + 1 == self.n_epochs


class Fail(Callback):
    def on_train_epoch_end(self, trainer, pl_module) -> None:
        raise RuntimeError("out of luck")


def test_a_log_gets_a_few_lines(mdata, capsys, three_lines):
    train(mdata)
    said = capsys.readouterr()
    lines = said.err.splitlines()
    assert [line.partition(":")[0] for line in lines] == [f"Epoch {n}/7" for n in (2, 4, 6, 7)]
    assert all("train_loss" in line and "v_num" not in line for line in lines)
    assert "Epoch" not in said.out


def test_the_last_line_is_of_the_last_epoch(mdata, capsys, three_lines):
    train(mdata, callbacks=[StopAfter(3)])
    assert [line.partition(":")[0] for line in capsys.readouterr().err.splitlines()] == ["Epoch 2/7", "Epoch 3/7"]


def test_a_terminal_gets_a_bar(mdata, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    train(mdata, 3)
    said = capsys.readouterr()
    assert "Epoch 3/3: 100%" in said.err
    assert "train_loss" in said.err
    assert "v_num" not in said.err
    assert "Epoch" not in said.out


@pytest.mark.parametrize("wanted", [{"enable_progress_bar": False}, {"progress_bar_refresh_rate": 0}])
def test_no_progress_is_shown_if_none_is_wanted(mdata, capsys, wanted):
    train(mdata, 2, **wanted)
    assert "Epoch" not in "".join(capsys.readouterr())


@pytest.mark.parametrize("own", [{}, {"callbacks": [TQDMProgressBar()]}])
def test_lightnings_own_bar_can_be_had(mdata, own):
    model = train(mdata, 1, simple_progress_bar=False, **own)
    assert not isinstance(model.trainer.progress_bar_callback, Progress)


def test_stdout_holds_nothing_of_an_exception(mdata, capsys):
    with pytest.raises(RuntimeError, match="out of luck"):
        train(mdata, 3, callbacks=[Fail()])
    print("after")
    said = capsys.readouterr().out
    assert "Exception" not in said
    assert said.endswith("after\n")
