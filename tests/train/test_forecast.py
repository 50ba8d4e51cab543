"""What is said of memory and time before a training and at its start."""

import re
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp
import torch

import mmvae
from mmvae import MultiVAE
from mmvae.train import _forecast, memory_needed, memory_note

GB = 2**30


def has(monkeypatch, free: int) -> None:
    monkeypatch.setattr(_forecast.psutil, "virtual_memory", lambda: SimpleNamespace(available=free))


def gigabytes(sentence: str) -> float:
    return float(re.search(r"about ([\d.]+) GB", sentence).group(1))


def test_memory_grows_with_features_and_is_more_for_dense_values(monkeypatch):
    has(monkeypatch, 100 * GB)
    few, many = (sp.csr_matrix((50, size), dtype=np.float32) for size in (20_000, 200_000))
    assert gigabytes(memory_note(50, [many])) == pytest.approx(10 * gigabytes(memory_note(50, [few])), rel=0.1)
    assert gigabytes(memory_note(50, [few.toarray()])) > gigabytes(memory_note(50, [few]))
    assert "variable features" not in memory_note(50, [many])


def test_too_little_memory_comes_with_advice(monkeypatch):
    has(monkeypatch, GB // 10)
    note = memory_note(50, [sp.csr_matrix((50, 20_000), dtype=np.float32)])
    assert "0.1 GB are free. Choose variable features" in note


def test_weights_with_what_training_keeps_of_them_are_counted():
    mdata = mmvae.datasets.simulate(60)
    MultiVAE.setup_mudata(mdata)
    trained = [weights for weights in MultiVAE(mdata).module.parameters() if weights.requires_grad]
    n_weights = sum(weights.numel() for weights in trained)
    optimizer = torch.optim.AdamW(trained)
    sum(weights.sum() for weights in trained).backward()
    optimizer.step()
    held = [value for state in optimizer.state.values() for value in state.values() if value.numel() > 1]
    held += [tensor for weights in trained for tensor in (weights, weights.grad)]
    # And two copies: of the best epoch's and of the last one's.
    expected = sum(tensor.numel() * tensor.element_size() for tensor in held) + 2 * 4 * n_weights
    assert memory_needed(n_weights, 0, 128) == pytest.approx(expected, rel=0.05)


@pytest.mark.filterwarnings("ignore:The latent of")  # three epochs
@pytest.mark.parametrize("bar", [True, False])
def test_training_says_what_it_takes_where_it_shows_a_bar(capsys, bar):
    mdata = mmvae.datasets.simulate(60)
    MultiVAE.setup_mudata(mdata)
    assert "less than 0.1 GB of memory beside the values" in capsys.readouterr().out
    MultiVAE(mdata).train(3, enable_progress_bar=bar)
    said = "".join(capsys.readouterr())
    assert ("GB of memory" in said) is bar
    assert bool(re.search(r"An epoch takes about .* all 3 of them would take .*", said)) is bar


def test_check_says_it_too(capsys):
    mmvae.pp.check(mmvae.datasets.simulate(60))
    assert "GB of memory" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.123, "0.12 seconds"), (90, "90 seconds"), (150, "2.5 minutes"), (36_000, "10 hours")]
)
def test_times_in_words(seconds, words):
    assert _forecast._time(seconds) == words
