"""Results are written whole or not at all, each for itself, and of one run alone."""

from __future__ import annotations

import os
import signal
import stat
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from killing import code_of, started, stopping_at
from lightning.pytorch.callbacks import Callback

import mmvae
from mmvae import MultiVAE
from mmvae._files import claimed
from mmvae.cli import main
from mmvae.cli._files import read, write, write_all
from mmvae.fusion import Fusion
from mmvae.likelihoods import Likelihood
from mmvae.priors import Prior

fit = import_module("mmvae.cli._fit")
KEPT = "X_kept"


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("source") / "in.h5mu"
    write(mmvae.datasets.simulate(60, modalities={"rna": 20, "protein": 5}), path)
    return path


@pytest.fixture
def out(tmp_path, monkeypatch) -> Path:
    """OUT of a run that embeds without training, in an empty folder that the run is in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(MultiVAE, "train", lambda *_, **__: None)
    monkeypatch.setattr(fit, "embed", lambda _, mdata: mdata.obsm.update({KEPT: np.zeros((60, 1))}))
    return tmp_path / "out.h5mu"


def run(source: Path, *given: str) -> int:
    return main(["fit", str(source), "--out", "out.h5mu", "--no-umap", *given])


def failing(*_, **__):
    raise RuntimeError("out of luck")


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_a_model_that_cannot_be_saved_leaves_the_output_and_nothing_else(source, out, monkeypatch, capsys):
    monkeypatch.setattr(MultiVAE, "save", failing)
    assert run(source, "--model", "new/model") == 1
    assert KEPT in read(out).obsm
    assert files_in(out.parent) == {"out.h5mu"}
    printed = capsys.readouterr()
    assert "Wrote out.h5mu" in printed.out
    assert "RuntimeError: out of luck" in printed.err


def test_an_output_that_cannot_be_written_leaves_the_model_and_nothing_else(source, out, monkeypatch, capsys):
    monkeypatch.setattr(fit, "write", failing)
    assert run(source, "--model", "new/model") == 1
    assert files_in(out.parent) == {"new", "new/model", "new/model/model.pt"}
    assert "Wrote new/model/model.pt" in capsys.readouterr().out


def test_all_failures_are_said(source, out, monkeypatch, capsys):
    monkeypatch.setattr(fit, "write", failing)
    monkeypatch.setattr(MultiVAE, "save", failing)
    assert run(source, "--model", ".") == 1
    assert files_in(out.parent) == set()
    assert capsys.readouterr().err.count("out of luck") == 2


def test_what_another_run_is_writing_is_found_before_anything_is_read(source, out, monkeypatch, capsys):
    monkeypatch.setattr(fit, "read", failing)
    for taken in (out, out.parent / "model.pt"):
        with claimed(taken):
            assert run(source, "--model", ".", "--overwrite") == 2
            assert "another one is writing it. Wait for that, or give another name" in capsys.readouterr().err
    assert files_in(out.parent) == set()


def test_a_folder_that_cannot_be_written_to_is_found_before_anything_is_read(source, out, monkeypatch, capsys):
    mkdir = os.mkdir

    def refuse(path, *args):
        if Path(path).parent.name == "locked":
            raise OSError(30, "Read-only file system", str(path))
        mkdir(path, *args)

    Path("locked").mkdir()
    monkeypatch.setattr(os, "mkdir", refuse)
    monkeypatch.setattr(fit, "read", failing)
    for given in (["fit", str(source), "--out", "locked/x.h5mu"], ["demo", "--out", "locked"]):
        assert main(given) == 2
        assert "got 'Read-only file system'. Make it writable, or name another folder." in capsys.readouterr().err


def test_room_that_is_not_there_is_found_before_training(source, out, monkeypatch, capsys):
    monkeypatch.setattr(fit, "size_of", lambda _: 2**60)
    monkeypatch.setattr(MultiVAE, "train", lambda *_, **__: pytest.fail("it trains"))
    assert run(source) == 1
    assert "free; got" in capsys.readouterr().err
    assert files_in(out.parent) == set()


def test_a_file_made_while_training_is_kept_and_so_are_the_results(source, out, monkeypatch, capsys):
    monkeypatch.setattr(MultiVAE, "train", lambda *_, **__: out.write_text("precious"))
    assert run(source) == 1
    assert out.read_text() == "precious"
    assert KEPT in read(Path("out.1.h5mu")).obsm
    assert "is left as it is, and what this one made is in" in capsys.readouterr().err
    assert files_in(out.parent) == {"out.h5mu", "out.1.h5mu"}


def test_a_link_is_followed_and_permissions_are_kept(source, out):
    Path("target").write_text("old")
    Path("target").chmod(0o600)
    out.symlink_to("target")
    assert run(source, "--overwrite") == 0
    assert out.is_symlink()
    assert KEPT in read(out).obsm
    assert stat.S_IMODE(Path("target").stat().st_mode) == 0o600


@pytest.mark.parametrize("n", range(1, 20, 4))
def test_killed_while_it_writes_each_result_is_old_or_new(tmp_path, n):
    names = ["out", "model"]
    for name in names:
        (tmp_path / name).write_text("old")

    def work():
        with claimed(tmp_path / "out") as out, claimed(tmp_path / "model") as model:
            stopping_at(n, lambda: os._exit(9))
            write_all(dict.fromkeys((out, model), lambda part: part.write_text("new")))

    assert code_of(started(work)) == 9
    assert {(tmp_path / name).read_text() for name in names} <= {"old", "new"}
    for name in names:
        with claimed(tmp_path / name):
            pass
    assert files_in(tmp_path) == set(names)


def terminated(*_, **__):
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("fit.import_module", ["fit", "in.h5mu", "--out", "out.h5mu"]),
        ("fit.read", ["fit", "in.h5mu", "--out", "out.h5mu", "--overwrite", "--model", "new"]),
        ("fit.write", ["fit", "in.h5mu", "--out", "out.h5mu", "--overwrite", "--model", "new", "--no-umap"]),
        ("demo.simulate", ["demo"]),
        ("report.read", ["report", ".", "in.h5mu", "--out", "out.html"]),
        ("check.read", ["check", "in.h5mu"]),
    ],
)
def test_sigterm_at_any_time_is_said_and_leaves_what_was_there(source, out, monkeypatch, capsys, name, given):
    out.write_text("old")
    Path("model.pt").write_text("old")
    Path("in.h5mu").hardlink_to(source)
    before = files_in(out.parent)
    command, _, function = name.partition(".")
    module = "mmvae.cli._main" if function == "import_module" else f"mmvae.cli._{command}"
    monkeypatch.setattr(import_module(module), function, terminated)
    handler = signal.getsignal(signal.SIGTERM)
    assert main(given) == 143
    assert capsys.readouterr().err == f"mmvae {command}: Terminated.\n"
    assert files_in(out.parent) == before
    assert out.read_text() == "old"
    assert signal.getsignal(signal.SIGTERM) is handler


class Terminated(Callback):
    """Asks the process to end in the second epoch."""

    def on_train_batch_start(self, trainer, *_) -> None:
        if trainer.current_epoch == 1:
            terminated()


def test_help_lists_what_is_taken(capsys):
    with pytest.raises(SystemExit):
        main(["fit", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    for family, default in ((Prior, "mog"), (Fusion, "concat"), (Likelihood, None)):
        names = sorted(name for name, part in family.registry.items() if part.__module__.startswith("mmvae."))
        assert f"{', '.join(names)}; {f'{default} by' if default else 'inferred by'} default" in shown


@pytest.mark.filterwarnings("ignore:The latent of")
def test_a_training_goes_on_with_the_same_line(source, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    given = ["--checkpoint", "saved", "--epochs", "2"]
    assert run(source, *given) == 0
    whole = read(Path("out.h5mu")).obsm["X_mmvae"]
    assert run(source, *given, "--overwrite") == 2
    assert "Add --resume to go on with it" in capsys.readouterr().err
    assert run(source, "--resume", "--overwrite") == 2
    assert "Expected --checkpoint with --resume" in capsys.readouterr().err
    train = MultiVAE.train
    with monkeypatch.context() as patch:
        patch.setattr(MultiVAE, "train", lambda *args, **kwargs: train(*args, **kwargs, callbacks=[Terminated()]))
        assert run(source, "--checkpoint", "new", "--resume", "--epochs", "2", "--overwrite") == 143
    said = capsys.readouterr().err
    assert "mmvae fit: Terminated.\nTraining stopped in epoch 1." in said
    assert said.endswith("\nThe same command with --resume goes on.\n")
    assert files_in(tmp_path) == {"saved", "saved/training.ckpt", "new", "new/training.ckpt", "out.h5mu"}
    assert run(source, "--checkpoint", "new", "--resume", "--epochs", "2", "--overwrite") == 0
    np.testing.assert_array_equal(read(Path("out.h5mu")).obsm["X_mmvae"], whole)
