"""Every command that a page or a docstring names is there."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").rglob("*.py")]
# Commands that other commands start take their arguments by place and have no help.
INNER = {"peers.run", "ablation.run", "imputation.run", "speed.memory"}
NAMED = {name for page in PAGES for name in re.findall(r"python -m benchmarks\.([a-z_.]+[a-z])", page.read_text())}


def test_pages_name_commands():
    assert {"peers", "ablation", "spatial", "design", "labels", "speed"} | INNER <= NAMED


@pytest.mark.filterwarnings("ignore:.*found in sys.modules")
@pytest.mark.parametrize("name", sorted(NAMED - INNER))
def test_command_shows_its_help(name, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", [name, "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(f"benchmarks.{name}", run_name="__main__")
    assert ended.value.code == 0
    assert f"python -m benchmarks.{name} " in capsys.readouterr().out


@pytest.mark.parametrize("name", sorted(INNER))
def test_inner_command_is_a_file(name):
    assert (ROOT / "benchmarks" / f"{name.replace('.', '/')}.py").exists()
