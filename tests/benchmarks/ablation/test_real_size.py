"""Training on data of real size: which cells, which epochs, and the page."""

from __future__ import annotations

from types import SimpleNamespace

import pandas as pd
import pytest
import torch

import mmvae
from benchmarks import inputs
from benchmarks.ablation import real_size
from benchmarks.ablation.real_size import COLUMNS, Averaged, cells_of, page


def test_cells_that_are_held_out_are_complete_and_the_rest_is_cut(monkeypatch):
    monkeypatch.setattr(real_size, "N_CELLS", 100)
    whole = mmvae.datasets.simulate(300, modalities={"rna": 20, "protein": 6}, missing=0.8)
    mdata, held = cells_of(whole, 0, variable=False)
    complete = inputs.presence(mdata).all(axis=1)
    assert mdata.n_obs == 100
    assert complete.sum() == inputs.presence(whole).all(axis=1).sum()
    assert 0 < held.sum() < complete.sum()
    assert not held[~complete].any()


def test_averaged_weights_are_those_of_the_best_epoch():
    keep = SimpleNamespace(best_epoch=None, last_weights={})
    averaged = Averaged(keep)
    for epoch, (weight, best) in enumerate([(0.0, None), (1.0, 1), (2.0, 1)]):
        keep.last_weights, keep.best_epoch = {"w": torch.tensor(weight), "n": torch.tensor(epoch)}, best
        averaged.on_train_epoch_end(SimpleNamespace(current_epoch=epoch), None)
    assert float(averaged.chosen["w"]) == pytest.approx(0.1)
    assert float(averaged.now["w"]) == pytest.approx(0.29)
    assert int(averaged.now["n"]) == 2


def test_a_line_of_the_page_is_of_all_seeds():
    rows = [
        ("cite600", "default", seed, "warm", metric, value + seed)
        for seed in (0, 1)
        for metric, value in {"iwae": -1390.0, "epoch": 150.0}.items()
    ]
    text = page(pd.DataFrame(rows, columns=COLUMNS))
    assert "cite600:" in text
    assert "| default | best since the KL warmed up | 2 | 150 ± 1 | -1389.5 ± 0.7 |" in text
