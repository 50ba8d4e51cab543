"""Errors and power of differential tests, on small cells and on made-up results."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from benchmarks import differential, table
from benchmarks.data import unpulled
from benchmarks.differential import CLUSTERS, COLUMNS, METHODS, RUN, SIMULATED, Found, Groups, levels, power, scores

pytestmark = pytest.mark.filterwarnings("ignore:The latent of", "ignore:The validation ELBO never", "ignore:The groups")


def test_power_is_what_is_found_until_too_much_is_false():
    differs = np.array([True, True, False, True, False])
    score = np.array([5.0, 4.0, 3.0, 2.0, 1.0])
    assert power(score, differs) == pytest.approx(2 / 3)
    assert power(score, differs, at_false=0.25) == pytest.approx(1.0)
    assert power(-score, differs) == 0


def test_false_ones_are_counted_among_those_that_are_called():
    differs = np.array([True, True, False, False])
    found = scores(Found(np.arange(4.0), np.array([0.01, 0.2, 0.04, 0.5])), differs)
    assert (found["false 0.05"], found["called 0.05"], found["recall 0.05"]) == (0.5, 0.5, 0.5)
    nothing = scores(Found(np.arange(4.0), np.ones(4)), np.zeros(4, dtype=bool))
    assert nothing["false 0.05"] == 0
    assert "power" not in nothing


def test_features_are_called_as_by_the_method(trained):
    model, _ = trained
    asked = {"groupby": "cluster", "group1": "cluster_1", "modality": "rna", "delta": 0.02, "silent": True}
    result = model.differential_expression(**asked)
    target = float(np.quantile(levels(result["proba_de"].to_numpy()), 0.3))
    result = model.differential_expression(**asked, fdr_target=target)
    called = levels(result["proba_de"].to_numpy()) <= target
    assert 0 < called.sum() < len(called)
    assert list(called) == list(result[f"is_de_fdr_{target}"])


def test_thinned_features_are_rarer_in_one_condition(monkeypatch):
    monkeypatch.setattr(differential, "N_SIMULATED", 400)
    mdata = differential.simulated(SIMULATED[1], seed=0)
    (pair, *rest) = differential.comparisons(mdata, "rna")
    of, groups = pair
    assert of == "conditions"
    assert len(rest) == 8
    assert groups.differs.sum() >= 50
    in_batch = mdata.obs["batch"].iloc[groups.first].value_counts(normalize=True)
    assert in_batch["batch_0"] == pytest.approx(0.75, abs=0.08)


def test_every_method_is_scored_and_shown(trained, monkeypatch, tmp_path):
    model, mdata = trained
    cells = np.flatnonzero(mdata.obs_names.isin(mdata["rna"].obs_names))
    groups = Groups(cells[:60], cells[60:120], np.arange(300) < 100)
    monkeypatch.setattr(differential, "comparisons", lambda mdata, name: [(CLUSTERS, groups)])
    rows = pd.DataFrame(differential.errors(model, mdata, "rna")).assign(data=SIMULATED[0], seed=0)
    assert set(rows["method"]) == set(METHODS)
    assert rows["value"].between(0, 1).all()
    table.update(tmp_path / "differential.csv", rows.reindex(columns=COLUMNS), [], RUN, COLUMNS)
    text = differential.page(table.read(tmp_path / "differential.csv", COLUMNS))
    assert text.count("| clusters | rna |") == len(METHODS)


def test_a_model_that_was_trained_is_read(trained, monkeypatch, tmp_path):
    model, mdata = trained
    monkeypatch.delattr(differential, "train")
    model.save(tmp_path / "model")
    with unpulled():
        read = differential.trained(mdata.copy(), 0, "batch", tmp_path / "model")
    assert read.is_trained_
