"""Memory is measured in a process of its own."""

from __future__ import annotations

import json

import pytest

from benchmarks.speed import _memory
from benchmarks.speed._budget import Budget, CutShortError
from benchmarks.speed._jobs import Choice
from benchmarks.speed._memory import in_own_process
from benchmarks.speed._methods import OURS, SAMPLED, TOTALVI

memory = pytest.importorskip("benchmarks.speed.memory", reason="needs psutil", exc_type=ImportError)


@pytest.mark.filterwarnings("ignore::UserWarning")  # a few epochs are too few
def test_what_is_found_is_written(tiny, tmp_path):
    result = tmp_path / "found.json"
    memory.main(str(tmp_path), "proteins", OURS, "40", "cpu", "3", "0", str(result))
    found = json.loads(result.read_text())
    assert (found["n_cells"], found["n_features"]) == (40, 25)
    assert set(found["values"]) == {"data_mb", "host_mb", "growth_mb"}
    assert found["values"]["data_mb"] > 0
    assert found["values"]["host_mb"] >= 0


def test_growth_leaves_out_the_first_epoch_in_which_everything_is_made():
    assert memory.growth([100.0, 150.0, 151.0, 153.0]) == {"growth_mb": 3.0}
    assert memory.growth([100.0, 150.0]) == {}


def test_each_method_is_run_with_its_defaults(tiny, tmp_path):
    choice = Choice(folder=tmp_path, parts=["memory"], sets=["peaks", "proteins"], rounds=[0])
    runs = [(job.data, job.method) for job in _memory.jobs(choice)]
    assert ("peaks", SAMPLED) not in runs
    assert ("proteins", TOTALVI) in runs


def test_a_process_that_does_not_end_in_time_is_ended(tmp_path):
    choice = Choice(folder=tmp_path, parts=["memory"], sets=[], budget=Budget(0.05))
    with pytest.raises(CutShortError, match="did not end within"):
        in_own_process(choice, "snareseq", OURS, 0)


def test_the_last_words_of_a_process_that_fails_are_kept(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(_memory, "run_alone", lambda *_, **__: _Failed())
    with pytest.raises(RuntimeError, match="no memory left"):
        in_own_process(Choice(folder=tmp_path, parts=[], sets=[]), "snareseq", OURS, 0)
    assert "Traceback" in capsys.readouterr().err


class _Failed:
    returncode, stderr = 1, "Traceback\nno memory left\n"
