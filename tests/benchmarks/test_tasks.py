"""Tasks leave the cells that they say."""

from __future__ import annotations

import mmvae
from benchmarks import tasks
from benchmarks.data import DataSet


def test_two_types_of_three_are_left_in_one_batch_alone():
    mdata = mmvae.datasets.simulate(300, modalities={"rna": 10, "protein": 5}, n_clusters=6, n_batches=3)
    found = tasks.problem(mdata, DataSet("", "cluster", "batch"), tasks.SKEWED, seed=0).mdata
    batches = found.obs.groupby("cluster", observed=True)["batch"].agg(lambda own: tuple(sorted(set(own))))
    assert sorted(map(len, batches)) == [1, 1, 1, 1, 3, 3]
    assert len({own for own in batches if len(own) == 1}) == 3
    assert found.n_obs < mdata.n_obs
    assert found["rna"].obs_names.isin(mdata.obs_names).all()
