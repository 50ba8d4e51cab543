"""Scores of embeddings count what they say."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.scores import embedding as metrics


def test_finer_types_of_other_composition_pass_for_batch_effects_within_coarse_ones():
    rng = np.random.default_rng(0)
    fine = np.repeat(["a1", "a2"], 100)
    batch = np.where(rng.random(200) < np.where(fine == "a1", 0.8, 0.2), "x", "y")
    embedding = rng.normal(size=(200, 2)) + 20.0 * (fine == "a2")[:, None]  # batches do not matter within a type
    coarse = metrics.batch_mixing(embedding, np.full(200, "a"), batch)
    assert metrics.batch_mixing(embedding, fine, batch) == pytest.approx(1, abs=0.15)
    assert coarse < 0.8
