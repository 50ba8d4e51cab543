"""Filled latents beside those that a cell's own measurement gives."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from torch.distributions import Normal, kl_divergence

import mmvae
from benchmarks import fills, table


def gaussians(seed: int) -> fills.Gaussians:
    rng = np.random.default_rng(seed)
    return fills.Gaussians(rng.normal(size=(7, 3)), rng.uniform(0.1, 2.0, (7, 3)))


def test_a_fill_that_errs_as_far_as_it_says_has_residual_1():
    rng = np.random.default_rng(0)
    filled = fills.Gaussians(np.zeros((20_000, 2)), np.full((20_000, 2), 4.0))
    truth = fills.Gaussians(rng.normal(0.0, np.sqrt(3.0), (20_000, 2)), np.ones((20_000, 2)))
    assert fills.scores(truth, filled)["residual"] == pytest.approx(1.0, abs=0.03)
    surer = filled._replace(variance=filled.variance / 2)
    assert fills.scores(truth, surer)["residual"] == pytest.approx(2.0, abs=0.06)


def test_nats_are_the_divergence_of_gaussians():
    truth, filled = gaussians(0), gaussians(1)
    first, second = (Normal(torch.tensor(g.mean), torch.tensor(g.variance).sqrt()) for g in (truth, filled))
    expected = float(kl_divergence(first, second).sum(dim=1).mean())
    assert fills.scores(truth, filled)["nats"] == pytest.approx(expected)


def test_halves_hold_every_protein_once_in_the_same_cells():
    mdata = mmvae.datasets.simulate(30, modalities={"rna": 6, "protein": 5})
    found = fills.halved(mdata)
    assert list(found.mod) == ["rna", "protein1", "protein2"]
    proteins = [*found["protein1"].var_names, *found["protein2"].var_names]
    assert sorted(proteins) == sorted(mdata["protein"].var_names)
    assert all((adata.obs_names == mdata.obs_names).all() for adata in found.mod.values())


def test_a_line_of_the_page_has_both_codes(tmp_path):
    facts = {"data": "tcga", "target": "rna", "sources": "mirna+protein", "n_cells": 30}
    rows = [facts | {"code": fills.NOW, "seed": seed, "residual": 1.0 + seed, "nats": 5.0} for seed in (0, 1)]
    rows.append(facts | {"code": fills.BEFORE, "seed": 0, "residual": 3.5, "nats": 18.0})
    table.update(tmp_path / "fills.csv", pd.DataFrame(rows), [], fills.RUN, fills.COLUMNS)
    text = fills.page(table.read(tmp_path / "fills.csv", fills.COLUMNS))
    assert "| tcga | rna | mirna+protein | 30 | 3.50 | 1.50 ± 0.71 | 18.0 | 5.0 ± 0.0 |" in text


# Of two epochs a model learns next to nothing, and says so.
@pytest.mark.filterwarnings("ignore:The latent of", "ignore:The validation ELBO")
def test_every_choice_of_other_modalities_is_measured_on_cells_that_have_them(monkeypatch):
    mdata = mmvae.datasets.simulate(150, modalities={"rna": 20, "atac": 30, "protein": 6}, missing=0.5)
    quick = lambda model, budget, **options: model.train(2, enable_progress_bar=False, **options)
    monkeypatch.setattr(fills, "train", quick)
    found = pd.DataFrame(fills.run(mdata, seed=0))
    assert list(found["sources"]) == [
        *("atac", "protein", "atac+protein"),
        *("rna", "protein", "rna+protein"),
        *("rna", "atac", "rna+atac"),
    ]
    assert found["n_cells"].between(1, 30).all()
    assert np.isfinite(found[fills.SCORES].to_numpy(dtype=float)).all()
