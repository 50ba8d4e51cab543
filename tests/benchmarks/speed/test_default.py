"""When a latent was as good as in the end."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from benchmarks.data import DataSet
from benchmarks.speed import _default
from benchmarks.speed._budget import Budget, CutShortError
from benchmarks.speed._default import WeightsAside, reached, to_its_end
from benchmarks.speed._jobs import Choice
from benchmarks.speed._methods import METHODS, MULTIVI, OURS, TOTALVI
from benchmarks.speed._simulated import TYPE, Size, simulated

SMALL, WITH_PEAKS = Size(120, rna=30, protein=6), Size(120, rna=20, atac=16)
METRICS = {"setup", "train", "n_epochs", "bio", "within", "lasting"}
# Those of peers.
pytestmark = pytest.mark.filterwarnings("ignore")


def test_the_first_close_latent_and_the_one_from_which_all_were_close_are_told_apart():
    scored = [(1, 0.2), (2, 0.995), (3, 0.6), (4, 0.991), (5, 1.2), (6, 1.0)]
    assert reached(scored) == {"within": 2, "lasting": 4}
    assert reached([(1, 0.2), (6, 1.0)]) == {"within": 6, "lasting": 6}


def test_the_clock_stands_still_while_weights_are_put_aside(tmp_path, monkeypatch):
    time = [0.0]
    monkeypatch.setattr(_default, "now", lambda: time[0])
    save = torch.save

    def slow(*given):
        time[0] += 100
        save(*given)

    monkeypatch.setattr(torch, "save", slow)
    aside, plan = WeightsAside(tmp_path), SimpleNamespace(module=torch.nn.Linear(1, 1))
    for epoch in range(20):
        time[0] += 2
        aside.on_train_epoch_end(SimpleNamespace(current_epoch=epoch), plan)
    assert aside.at == {epoch: 2.0 * epoch for epoch in range(1, 21)}
    assert aside.seconds() == 40
    assert aside.saved == [1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 15, 17, 20]


def test_weights_are_those_of_their_epoch(tmp_path):
    aside, module = WeightsAside(tmp_path), torch.nn.Linear(1, 1)
    for epoch in range(2):
        torch.nn.init.constant_(module.weight, epoch)
        aside.on_train_epoch_end(SimpleNamespace(current_epoch=epoch), SimpleNamespace(module=module))
    aside.load(1, SimpleNamespace(module=module))
    assert module.weight.item() == 0


@pytest.mark.parametrize("method", [OURS, TOTALVI, MULTIVI])
def test_training_is_followed_to_its_end(tmp_path, monkeypatch, method):
    options = _default.train_options
    monkeypatch.setattr(_default, "train_options", lambda *given, **more: options(*given, max_epochs=3, **more))
    settled = []
    settle = METHODS[method].settle
    monkeypatch.setitem(METHODS, method, _with(METHODS[method], settle=lambda model: settled.append(settle(model))))
    choice = Choice(folder=tmp_path, parts=["default"], sets=[])
    mdata = METHODS[method].form(simulated(WITH_PEAKS if method == MULTIVI else SMALL))
    found = to_its_end(mdata, DataSet("", TYPE), method, 0, choice)
    assert (found.n_cells, found.n_features) == (120, 36)
    assert set(found.values) == METRICS
    assert found.values["n_epochs"] == 3
    assert 0 < found.values["within"] <= found.values["lasting"] <= found.values["train"]
    assert len(settled) == 3


def test_a_training_that_the_budget_cuts_short_is_no_measurement(tmp_path):
    choice = Choice(folder=tmp_path, parts=["default"], sets=[], budget=Budget(0.2))
    with pytest.raises(CutShortError, match="stopped at .* epochs by the budget"):
        to_its_end(simulated(SMALL), DataSet("", TYPE), OURS, 0, choice)


def _with(method, **changed):
    from dataclasses import replace

    return replace(method, **changed)
