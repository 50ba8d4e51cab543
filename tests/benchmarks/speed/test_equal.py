"""Methods take turns at equal settings, and what is measured is named."""

from __future__ import annotations

from functools import partial

import pytest

from benchmarks.speed import _equal, _growth
from benchmarks.speed._clock import CardUse, EpochTimes
from benchmarks.speed._equal import jobs
from benchmarks.speed._jobs import CUDA, Choice
from benchmarks.speed._methods import CAPTURED, METHODS, MULTIVI, MULTIVI_SPARSE, OURS, SAMPLED, TOTALVI
from benchmarks.speed._sets import SETS, Simulated, methods_of
from benchmarks.speed._training import train_options

# Those of peers.
pytestmark = pytest.mark.filterwarnings("ignore")


def choice_of(folder, **options):
    defaults = {"parts": ["epochs", "latent"], "sets": list(SETS), "rounds": [0], "batch_sizes": [16], "epochs": 2}
    return Choice(folder=folder, **defaults | options)


def test_methods_take_turns_and_the_large_set_is_run_once_before_what_is_no_default(tiny, tmp_path):
    order = [
        (job.round, job.data, job.method, job.batch_size)
        for job in jobs(choice_of(tmp_path, rounds=[3, 4], batch_sizes=[16, 32], sets=["large", "peaks"]))
    ]
    usual = [("peaks", method, size) for size in (16, 32) for method in (OURS, MULTIVI)]
    other = [("peaks", SAMPLED, size) for size in (16, 32)]
    first = [*usual, ("large", OURS, 16), *other]
    assert order == [(3, *rest) for rest in first] + [(4, *rest) for rest in [*usual, *other]]


def test_the_large_set_waits_for_time_enough(tiny, tmp_path):
    found = {job.data: job.least for job in jobs(choice_of(tmp_path))}
    assert found == {"peaks": 0, "proteins": 0, "large": 120}


def test_peers_are_those_that_were_chosen_and_differ_on_the_device(tmp_path, monkeypatch):
    assert list(methods_of("snareseq", choice_of(tmp_path))) == [OURS, SAMPLED, MULTIVI]
    assert list(methods_of("snareseq", choice_of(tmp_path, peers=["totalvi"]))) == [OURS, SAMPLED]
    assert list(methods_of("teaseq", choice_of(tmp_path, peers=["totalvi"]))) == [OURS, TOTALVI]
    on_card = list(methods_of("snareseq", choice_of(tmp_path, device=CUDA)))
    assert on_card == [OURS, CAPTURED, SAMPLED, MULTIVI, MULTIVI_SPARSE]
    assert train_options(CAPTURED, CUDA)["cuda_graph"]


@pytest.mark.parametrize("name", ["peaks", "proteins"])
def test_epoch_and_latent_are_measured_for_every_method(tiny, tmp_path, name):
    runs = list(jobs(choice_of(tmp_path, sets=[name])))
    assert {job.method for job in runs} == set(SETS[name].methods)
    for job in runs:
        found = job.measure()
        assert (found.n_cells, found.n_features) == (80, 50) if name == "peaks" else (60, 25)
        assert set(found.values) == {"epoch", "latent"}
        assert all(value > 0 for value in found.values.values())


@pytest.mark.parametrize(("parts", "epochs", "metrics"), [(["latent"], 1, {"latent"}), (["epochs"], 2, {"epoch"})])
def test_the_latent_alone_takes_one_epoch(tiny, tmp_path, monkeypatch, parts, epochs, metrics):
    asked = []
    train = _equal.train
    monkeypatch.setattr(_equal, "train", lambda *given: asked.append(given[-1].epochs) or train(*given))
    (job,) = jobs(choice_of(tmp_path, sets=["proteins"], parts=parts, peers=[]))
    assert set(job.measure().values) == metrics
    assert asked == [epochs]


def test_short_epochs_are_repeated_on_a_card_until_there_is_enough_to_see(tiny, tmp_path):
    model = METHODS[OURS].make(SETS["proteins"].cells(tmp_path, None, again=False), None, 0, METHODS[OURS].sizes)
    for enough, n_epochs in ((0.0, 2), (1e-6, 2), (1e6, 8)):
        times = EpochTimes(2, enough)
        _equal.train(model, OURS, "cpu", 16, times)
        assert len(times.spans) == n_epochs


def test_the_sparse_loader_is_a_way_to_train_multivi(tiny, tmp_path):
    source = SETS["peaks"]
    method = METHODS[MULTIVI_SPARSE]
    model = method.make(method.form(source.cells(tmp_path, None, again=False)), None, 0, method.sizes)
    model.train(max_epochs=1, **train_options(MULTIVI_SPARSE, "cpu"))
    assert model.is_trained_


def test_on_a_card_training_is_sent_there():
    assert train_options(OURS, CUDA, max_epochs=3)["accelerator"] == "gpu"
    assert train_options(OURS, CUDA, max_epochs=3)["max_epochs"] == 3
    assert train_options(OURS, "cpu")["accelerator"] == "cpu"


def test_on_a_card_its_memory_and_use_are_measured_too(tiny, tmp_path, monkeypatch):
    called = []
    for name in ("init", "empty_cache", "reset_peak_memory_stats"):
        monkeypatch.setattr(f"torch.cuda.{name}", partial(called.append, name))
    monkeypatch.setattr("torch.cuda.max_memory_allocated", lambda: 5e6)
    monkeypatch.setattr(_equal, "CardUse", partial(CardUse, ("echo", "40")))
    monkeypatch.setattr(_equal, "train_options", lambda method, device, **more: train_options(method, "cpu", **more))
    monkeypatch.setattr(_equal, "ENOUGH", 1e-6)
    (job,) = jobs(choice_of(tmp_path, sets=["proteins"], peers=[], device=CUDA))
    values = job.measure().values
    assert set(values) == {"epoch", "latent", "card_mb", "busy"}
    assert values["card_mb"] == 5
    assert called[:3] == ["init", "empty_cache", "reset_peak_memory_stats"]


def test_growth_has_a_run_for_each_size_with_sampled_peaks_and_without(tmp_path, monkeypatch):
    monkeypatch.setattr(_growth, "N_GENES", 20)
    monkeypatch.setattr(_growth, "N_PEAKS", 30)
    runs = list(_growth.jobs(choice_of(tmp_path, cells=40, growing_cells=[40, 80], growing_peaks=[30, 60], epochs=1)))
    assert len({job.kind for job in runs}) == len(runs) == 8
    found = {(job.data, job.size, job.method): job.measure() for job in runs if job.size in (40, 60)}
    assert {key: size[:2] for key, size in found.items()} == {
        ("cells", 40, OURS): (40, 50),
        ("cells", 40, SAMPLED): (40, 50),
        ("peaks", 60, OURS): (40, 80),
        ("peaks", 60, SAMPLED): (40, 80),
    }
    assert all(values["epoch"] > 0 for *_, values in found.values())
    _growth._made.cache_clear()


def test_the_sets_of_the_issue_are_there():
    assert isinstance(SETS["peaks100k"], Simulated)
    assert SETS["peaks100k"].size.atac == 100_000
    size = SETS["million"].size
    assert (size.n_cells, size.rna, size.protein) == (1_000_000, 4_000, 100)
