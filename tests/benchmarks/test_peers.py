"""The comparison with peers counts what it says."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("benchmarks", reason="run as `python -m pytest` from the root of the repository")
from benchmarks import metrics, tasks
from benchmarks.data import DataSet
from benchmarks.peers_pairs import pairs

import mmvae

SCORES = [
    ("teaseq", "mmvae", "fused", 0.6),
    ("teaseq", "mmvae", "shared", 0.1),
    ("teaseq", "pca", "concatenated", 0.7),
    ("tcga", "mmvae", "fused", 0.8),
    ("tcga", "pca", "concatenated", 0.6),
    ("tcga", "mofa", "factors", 0.5),
    ("cite600", "mmvae", "fused", 0.9),
]


def test_pairs_compare_on_common_sets_by_the_first_readout():
    table = pd.DataFrame(SCORES, columns=["data", "method", "readout", "value"]).assign(task="complete", seed=0)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in pairs(table).splitlines()[2:]]
    assert rows == [
        ["PCA", "2", "0.650", "0.700", "-0.100", "TEA-seq PBMC"],
        ["MOFA+", "1", "0.500", "0.800", "+0.300", "TCGA breast tumours (bulk)"],
    ]


def test_finer_types_of_other_composition_pass_for_batch_effects_within_coarse_ones():
    rng = np.random.default_rng(0)
    fine = np.repeat(["a1", "a2"], 100)
    batch = np.where(rng.random(200) < np.where(fine == "a1", 0.8, 0.2), "x", "y")
    embedding = rng.normal(size=(200, 2)) + 20.0 * (fine == "a2")[:, None]  # batches do not matter within a type
    coarse = metrics.batch_mixing(embedding, np.full(200, "a"), batch)
    assert metrics.batch_mixing(embedding, fine, batch) == pytest.approx(1, abs=0.15)
    assert coarse < 0.8


def test_two_types_of_three_are_left_in_one_batch_alone():
    mdata = mmvae.datasets.simulate(300, modalities={"rna": 10, "protein": 5}, n_clusters=6, n_batches=3)
    found = tasks.problem(mdata, DataSet("", "cluster", "batch"), tasks.SKEWED, seed=0).mdata
    batches = found.obs.groupby("cluster", observed=True)["batch"].agg(lambda own: tuple(sorted(set(own))))
    assert sorted(map(len, batches)) == [1, 1, 1, 1, 3, 3]
    assert len({own for own in batches if len(own) == 1}) == 3
    assert found.n_obs < mdata.n_obs
    assert found["rna"].obs_names.isin(mdata.obs_names).all()
