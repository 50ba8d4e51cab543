"""Splits."""

from __future__ import annotations

import numpy as np
import pytest

from mmvae.data import split_cells, split_groups

STRATA = np.repeat([0, 1, 2], [700, 200, 100])


def test_parts_cover_all_cells_once():
    parts = split_cells(STRATA, 0.8, 0.1, seed=0)
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(1000))
    assert [len(p) for p in parts] == [800, 100, 100]


@pytest.mark.parametrize("train_size", [0.9, 0.8, 0.7, 0.6, 0.55])
def test_shares_that_add_up_to_one_leave_no_test_cells(train_size):
    parts = split_cells(STRATA, train_size, 1 - train_size if train_size == 0.55 else round(1 - train_size, 2), seed=0)
    assert [len(p) for p in parts] == [round(1000 * train_size), round(1000 * (1 - train_size)), 0]


def test_every_stratum_has_its_share():
    _, validation, _ = split_cells(STRATA, 0.9, None, seed=1)
    assert np.allclose(np.bincount(STRATA[validation]), [70, 20, 10], atol=1)


def test_same_seed_same_split():
    first, again, other = (split_cells(STRATA, 0.9, None, seed=s)[1] for s in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_all_cells_may_train():
    train, validation, test = split_cells(STRATA, 1.0, None, seed=0)
    assert (len(train), len(validation), len(test)) == (1000, 0, 0)


@pytest.mark.parametrize(("train", "validation"), [(0, None), (1.2, None), (0.9, 0.2), (0.5, -0.1)])
def test_impossible_shares_are_refused(train, validation):
    with pytest.raises(ValueError, match="train_size"):
        split_cells(STRATA, train, validation, seed=0)


@pytest.mark.parametrize("seed", range(8))
def test_as_many_groups_as_parts_are_enough_however_large_one_is(seed):
    groups = np.repeat([0, 1, 2], [100, 3, 3])
    parts = split_groups(groups, np.zeros(106, dtype=int), 0.8, 0.1, seed)
    assert sorted(len(part) for part in parts) == [3, 3, 100]


def test_fewer_groups_than_parts_are_refused():
    with pytest.raises(ValueError, match="Expected groups enough to train, validate and test on; got 2"):
        split_groups(np.repeat([0, 1], 50), np.zeros(100, dtype=int), 0.8, 0.1, 0)
