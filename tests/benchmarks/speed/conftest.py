from __future__ import annotations

from types import MappingProxyType

import pytest

from benchmarks.speed import _sets
from benchmarks.speed._methods import MULTIVI, OURS, SAMPLED, TOTALVI
from benchmarks.speed._sets import SETS, Simulated
from benchmarks.speed._simulated import Size

TINY = MappingProxyType(
    {
        "peaks": Simulated(Size(80, rna=20, atac=30), (OURS, SAMPLED, MULTIVI)),
        "proteins": Simulated(Size(60, rna=20, protein=5), (OURS, TOTALVI)),
        "large": Simulated(Size(100, rna=10, protein=5), (OURS,)),
    }
)


@pytest.fixture
def tiny(monkeypatch):
    """Small simulated data in place of all sets, the last of which is run once."""
    for name in list(SETS):
        monkeypatch.delitem(SETS, name)
    for name, source in TINY.items():
        monkeypatch.setitem(SETS, name, source)
    monkeypatch.setitem(_sets.LARGE, "large", 120.0)
    yield SETS
    _sets.load.cache_clear()
    _sets.load_for.cache_clear()
