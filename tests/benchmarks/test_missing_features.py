"""What a query loses by missing features is measured."""

from __future__ import annotations

import numpy as np
import pytest

import mmvae
from benchmarks import missing_features
from benchmarks.data import unpulled

pytestmark = pytest.mark.filterwarnings("ignore:The latent of", "ignore:The validation ELBO never", "ignore:Query data")


@pytest.mark.slow
def test_a_row_has_the_scores_with_zeros_and_without_the_genes(monkeypatch):
    monkeypatch.setattr(missing_features, "EPOCHS", 2)
    monkeypatch.setattr(missing_features, "SHARES", {"random": (0.5,)})
    with unpulled():
        mdata = mmvae.datasets.simulate(120, modalities={"rna": 30, "protein": 6}, n_clusters=3)
        parts = [mdata[part].copy() for part in (np.arange(80), np.arange(80, 120))]
        (_, whole, *_), (choice, *scores) = missing_features.rows(*parts, "cluster")
    assert choice == "50%, random"
    assert all(0 <= float(score) <= 1 for score in (whole, *scores))


def test_those_of_fewest_counts_are_taken_away_first():
    mdata = mmvae.datasets.simulate(40, modalities={"rna": 10, "protein": 6})
    keep, totals = missing_features.kept(mdata, "fewest counts", 0.3), np.asarray(mdata["rna"].X.sum(axis=0)).ravel()
    assert keep.sum() == 7
    assert totals[~keep].max() <= totals[keep].min()


def test_the_same_neighbours_are_all_and_others_fewer():
    rng = np.random.default_rng(0)
    known, full = rng.normal(size=(100, 3)), rng.normal(size=(20, 3))
    assert missing_features.same_neighbours(known, full, full) == 1
    assert missing_features.same_neighbours(known, rng.normal(size=(20, 3)), full) < 1
