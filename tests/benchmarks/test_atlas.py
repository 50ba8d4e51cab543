"""The large mosaic: the same cells are scored for each method, and a run that fails is a row."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks import atlas
from benchmarks.atlas import ATLAS, COLUMNS, PATTERN, page, scored_cells, scores, stages
from benchmarks.methods.outcome import TRAINING, Outcome


@pytest.fixture
def obs():
    """Two types in three studies, of which one has cells of both patterns."""
    rng = np.random.default_rng(0)
    batch = rng.choice(["a", "b", "c"], size=300)
    has = np.where((batch == "a") & (rng.random(300) < 0.5), "rna+protein", "protein")
    label = rng.choice(["T", "B", "unlabelled"], p=[0.45, 0.45, 0.1], size=300)
    return pd.DataFrame({ATLAS.labels: label, ATLAS.fine: label, ATLAS.batch: batch, PATTERN: has})


@pytest.fixture(autouse=True)
def _without_scib_metrics(monkeypatch):
    monkeypatch.setattr(atlas, "ilisi", lambda indices, distances, batch: 0.5)


def latent_of(column: pd.Series) -> np.ndarray:
    codes = pd.factorize(column)[0]
    return np.random.default_rng(1).normal(size=(len(column), 2)) + 20 * np.eye(codes.max() + 1)[codes, :2]


def test_the_same_cells_are_scored_in_whatever_order_they_are(monkeypatch):
    monkeypatch.setattr(atlas, "N_SCORED", 20)
    names = pd.Index([f"cell{number}" for number in range(50)])
    turned = names[::-1]
    assert set(names[scored_cells(names)]) == set(turned[scored_cells(turned)])
    assert len(set(scored_cells(names))) == 20


def test_what_parts_types_keeps_them_and_what_parts_studies_does_not_mix(obs):
    of_types, of_studies = (scores(latent_of(obs[name]), obs) for name in (ATLAS.labels, ATLAS.batch))
    assert of_types["knn_f1"] > 0.99 > 0.8 > of_studies["knn_f1"]
    assert of_types["mixing"] > 0.9 > 0.1 > of_studies["mixing"]


def test_patterns_are_told_apart_in_studies_that_hold_both_alone(obs):
    assert scores(latent_of(obs[ATLAS.batch]), obs)["mixing_patterns"] == pytest.approx(1, abs=0.15)
    assert scores(latent_of(obs[PATTERN]), obs)["mixing_patterns"] < 0.1


def test_set_up_is_what_is_neither_training_nor_readouts():
    outcome = Outcome(seconds={TRAINING: 60.0, "fused": 3.0, "shared": 5.0})
    assert stages(outcome, "fused", 70.0) == {"setup": 2.0, "training": 60.0, "embedding": 3.0}
    assert stages(Outcome(), "concatenated", 70.0) == {"training": 70.0}


def test_a_run_that_fails_is_a_row_with_its_last_words(monkeypatch):
    failed = subprocess.CompletedProcess([], 1, "", "Traceback\nValueError: no protein\n")
    monkeypatch.setattr(atlas, "run_alone", lambda *given: failed)
    (row,) = atlas._alone(Path("data"), "totalvi", 0, 15.0)
    assert row["note"] == "failed: ValueError: no protein"
    assert "failed: ValueError: no protein" in page(pd.DataFrame([row]).reindex(columns=COLUMNS))
