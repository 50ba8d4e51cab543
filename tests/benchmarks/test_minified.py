"""Sizes of minified data are measured."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import mmvae
from benchmarks import minified


def test_a_row_has_both_sizes_and_what_changed(monkeypatch):
    mdata = mmvae.datasets.simulate(60, modalities={"rna": 400, "protein": 6}, missing=0.3, seed=0)
    monkeypatch.setattr(minified, "DATA_SETS", {"set": SimpleNamespace(read=lambda folder: mdata)})
    monkeypatch.setattr(minified, "data_folder", Path)
    name, cells, whole, small, difference = minified.row("set")
    assert (name, cells) == ("set", "60")
    assert float(small) <= float(whole)
    assert float(difference) < 1e-5
