"""The command measures what was asked for and fits, and says what it left out."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pandas as pd
import pytest

from benchmarks.paths import ROOT
from benchmarks.speed import __main__ as command
from benchmarks.speed import _rows
from benchmarks.speed._budget import CutShortError
from benchmarks.speed._jobs import CUDA, Job, Measured
from benchmarks.speed._methods import OURS, TOTALVI


def called(monkeypatch, tmp_path, *given):
    files = ["--data", tmp_path, "--out", tmp_path / "speed.csv", "--page", tmp_path / "speed.md"]
    monkeypatch.setattr("sys.argv", ["speed", *map(str, [*files, *given])])


@pytest.mark.filterwarnings("ignore")  # those of peers
def test_rows_and_page_are_written(tiny, monkeypatch, tmp_path):
    called(monkeypatch, tmp_path, "--parts", "epochs,latent", "--sets", "proteins", "--rounds", 0, "--epochs", 1)
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 0
    table = pd.read_csv(tmp_path / "speed.csv")
    assert {tuple(run) for run in table[["method", "metric"]].to_numpy()} == {
        (method, metric) for method in (OURS, TOTALVI) for metric in ("epoch", "latent")
    }
    assert "| proteins | 60 | 128 | totalVI | 1 |" in (tmp_path / "speed.md").read_text()


FOUND = Measured(1, 2, {"epoch": 3.0})


def fail():
    raise RuntimeError("out of memory")


def cut_short():
    raise CutShortError("stopped at 3 of 9 epochs")


def runs(*measures):
    return [Job("equal", f"run{n}", OURS, 128, 0, measure) for n, measure in enumerate(measures)]


@pytest.mark.parametrize(("measure", "words", "status"), [(fail, "out of memory", 1), (cut_short, "stopped at 3", 0)])
def test_what_is_not_measured_is_named_and_the_rest_goes_on(monkeypatch, tmp_path, capsys, measure, words, status):
    jobs = runs(measure, lambda: FOUND)
    monkeypatch.setattr(command, "_jobs", lambda choice: iter([*jobs, replace(jobs[1], data="long", least=1e6)]))
    called(monkeypatch, tmp_path, "--budget", 1_000)
    with pytest.raises(SystemExit) as ended:
        command.main()
    said = capsys.readouterr().out.splitlines()
    assert ended.value.code == status
    assert said[1] == "Not measured:"
    assert said[2].startswith(f"equal: run0, mmvae, batch size 128, round 0: {words}")
    assert said[3] == "equal: long, mmvae, batch size 128, round 0: no time left"
    assert list(pd.read_csv(tmp_path / "speed.csv")["data"]) == ["run1"]


def test_the_page_can_be_written_from_the_table_alone(monkeypatch, tmp_path):
    _rows.write(
        tmp_path / "speed.csv",
        _rows.rows_of(Job("equal", "one", OURS, 128, 0, lambda: None), Measured(1, 2, {"epoch": 3.0}), "cpu"),
    )
    called(monkeypatch, tmp_path, "--page-only")
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 0
    assert "| one | 1 | 128 | mmvae | 1 | 3.00 |" in (tmp_path / "speed.md").read_text()


def test_gpu_chooses_what_eight_minutes_allow_and_leaves_options_beside_it(monkeypatch, tmp_path):
    called(monkeypatch, tmp_path, "--gpu", "--rounds", "1,2")
    arguments = command._arguments()
    assert (arguments.device, arguments.budget, arguments.rounds) == (CUDA, 450, [1, 2])
    assert arguments.sets == ["snareseq", "teaseq", "million"]
    assert arguments.parts == ["epochs", "latent"]


def test_a_card_that_is_not_there_is_asked_for_in_vain(monkeypatch, tmp_path):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    called(monkeypatch, tmp_path, "--gpu")
    with pytest.raises(SystemExit, match="Expected a card; torch found none"):
        command.main()


def test_memory_is_measured_before_much_is_imported():
    heavy = "{'scvi', 'lightning', 'scanpy', 'mmvae'}"
    code = f"import sys, benchmarks.speed.__main__, benchmarks.speed._memory; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
    assert next(iter(command.PARTS)) == "memory"
