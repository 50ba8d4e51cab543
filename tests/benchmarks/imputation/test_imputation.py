"""What is hidden, what is predicted of it, and how that is scored."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.stats import nbinom
from sklearn.metrics import roc_auc_score

from benchmarks import table
from benchmarks.imputation import __main__ as command
from benchmarks.imputation import _linear, _models, _page, _scores, _task


@pytest.fixture(scope="module")
def task():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_task, "N_SIMULATED", 300)
        return _task.task("simulated", Path(), seed=0)


def truth(task):
    """The true shares as a prediction."""
    shares = task.rates[task.held]
    return _task.Prediction(np.log1p(task.depth * shares), shares)


def test_the_target_is_hidden_from_held_out_cells_alone(task):
    names = task.mdata.obs_names[~task.held]
    assert set(task.mdata["atac"].obs_names) == set(names)
    assert task.mdata["rna"].n_obs == len(task.held)
    assert 30 < task.held.sum() < 90
    own = task.counts(~task.held).values
    assert (own != task.mdata["atac"][names].X).nnz == 0


def test_logged_values_are_at_the_median_depth(task):
    totals = np.expm1(task.logged(task.counts(task.held))).sum(axis=1)
    np.testing.assert_allclose(totals, task.depth, rtol=1e-4)


@pytest.mark.parametrize("method", [_linear.ridge, _linear.neighbors])
def test_plain_methods_beat_the_mean_and_fall_short_of_the_truth(task, method):
    found, best = (_scores.scores(task, predicted) for predicted in (method(task), truth(task)))
    flat = np.broadcast_to(np.asarray(task.counts(~task.held).values.sum(axis=0)), truth(task).shares.shape)
    mean = _scores.scores(task, _task.Prediction(np.zeros(flat.shape), flat / flat.sum(axis=1, keepdims=True)))
    assert best["nll"] < found["nll"] < mean["nll"]
    assert best["pearson"] > found["pearson"] > 0.1
    assert mean["pearson"] == 0
    assert best["auroc"] > found["auroc"] > 0.55


def test_types_are_means_of_their_cells(task):
    found = _linear.types(task)
    labels = task.mdata.obs["cluster"].astype(str).to_numpy()
    one = labels[task.held][0]
    np.testing.assert_allclose(
        found.logged[0], task.logged(task.counts(~task.held & (labels == one))).mean(axis=0), rtol=1e-4
    )


def test_auroc_is_that_of_sklearn(task):
    counts = task.counts(task.held).values.toarray()
    columns = np.flatnonzero((counts > 0).any(axis=0) & (counts == 0).any(axis=0))[:5]
    found = _scores._auroc(truth(task).shares, counts, columns)
    expected = [roc_auc_score(counts[:, c] > 0, truth(task).shares[:, c]) for c in columns]
    np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize("theta", [0.5, 1e4])
def test_log_probabilities_are_those_of_scipy(theta):
    counts, mean = np.array([[0, 3], [7, 0], [0, 1]]), np.array([[0.1, 2.0], [5.0, 1.0], [2.0, 0.5]])
    found = _scores._log_probability(sp.coo_matrix(counts), mean, np.full(2, theta))
    np.testing.assert_allclose(found, nbinom.logpmf(counts, theta, theta / (theta + mean)).sum(axis=0), rtol=1e-3)


@pytest.mark.filterwarnings("ignore:The latent of", "ignore:The validation ELBO", "ignore:.*is predicted no better")
def test_mmvae_is_kept_and_read_again(task, tmp_path, monkeypatch):
    calls = []

    def quick(model, budget, **options):
        calls.append(budget)
        model.train(2, enable_progress_bar=False)
        return ""

    monkeypatch.setattr(_models, "train", quick)
    monkeypatch.setattr(task, "kept", tmp_path / "model")
    first, again = _models.mmvae(task), _models.mmvae(task)
    assert calls == [None]
    np.testing.assert_allclose(first.shares, again.shares, rtol=1e-4)
    assert set(first.scores) == {"coverage", "below", "above", "width", "central", "nll_own", "rates"}
    assert 0.7 < first.scores["central"] < 1.0


def test_runs_that_the_table_has_are_skipped_and_failures_noted(tmp_path, monkeypatch):
    asked = []

    class Done:
        returncode, stderr = 1, "Traceback\nValueError: no such luck"

    monkeypatch.setattr(command, "run_alone", lambda module, *given, seconds: asked.append(given[1:4]) or Done)
    out = tmp_path / "imputation.csv"
    monkeypatch.setattr(
        sys, "argv", ["imputation", "--data", str(tmp_path), "--sets", "simulated", "--seeds", "0", "--out", str(out)]
    )
    command.main()
    command.main()
    assert asked == [
        ("simulated", name, 0) for name in ("mmvae", "ridge", "neighbors", "types", "multivi", "multivi_fast")
    ]
    assert set(table.read(out)["note"]) == {"failed: ValueError: no such luck"}


def test_the_page_has_a_table_for_each_score_that_was_taken():
    facts = {"data": "teaseq", "n_cells": 250, "spearman": np.nan, "auroc": np.nan, "nll": 120.0}
    rows = [facts | {"method": "ridge", "seed": seed, "pearson": 0.5 + seed / 10, "note": ""} for seed in (0, 1)]
    own = {"coverage": 0.92, "central": 0.9, "below": 0.02, "above": 0.06, "width": 0.4, "rates": np.nan}
    rows.append(facts | own | {"method": "mmvae", "seed": 0, "pearson": 0.57, "note": "stopped"})
    text = _page.page(pd.DataFrame(rows))
    assert "| ridge | 0.550 ± 0.071 (2) | 0.550 |" in text
    assert "| mmvae | 120.0 (1) | 120.000 |" in text
    assert "| teaseq | 250 | 0.920 | 0.900 | 0.020 | 0.060 | 0.400 | – |" in text
    assert text.endswith("mmvae on teaseq, seed 0: stopped.\n")
    assert "AUROC" not in text


def test_scipy_matrices_of_counts_have_totals_of_at_least_one():
    assert _task.Counts(sp.csr_matrix([[0, 0], [2, 1]]), np.arange(2)).totals.ravel().tolist() == [1, 3]
