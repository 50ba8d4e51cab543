"""When what begins."""

from __future__ import annotations

import itertools

import pytest

from mmvae.train import defaults_for, schedule_for

NOTHING = {}
WARMUPS = [
    NOTHING,
    {"n_epochs_kl_warmup": None},
    {"n_epochs_kl_warmup": 0},
    {"n_epochs_kl_warmup": 3},
    {"n_epochs_kl_warmup": 400},
    {"n_steps_kl_warmup": 0},
    {"n_steps_kl_warmup": 25},
    {"n_steps_kl_warmup": 10**6},
    {"n_epochs_kl_warmup": None, "n_steps_kl_warmup": 25},
]


@pytest.mark.parametrize(
    ("warmup", "epochs", "cells"), list(itertools.product(WARMUPS, [1, 2, 3, 20, 200, None], [4, 72, 50_000]))
)
def test_priors_start_after_the_first_epoch_and_before_the_last_third(warmup, epochs, cells):
    schedule = schedule_for(cells, defaults_for(cells), epochs, plan=warmup)
    assert 1 <= schedule.early <= schedule.late <= max(1, 2 * schedule.max_epochs / 3)
    assert schedule.early <= 10


@pytest.mark.parametrize(
    ("warmup", "late"),
    [
        (NOTHING, 20),
        ({"n_epochs_kl_warmup": 7}, 7),
        ({"n_steps_kl_warmup": 25}, 7),  # 4 minibatches an epoch
        ({"n_epochs_kl_warmup": 400}, 40),
        ({"n_epochs_kl_warmup": 0}, 20),
    ],
)
def test_epochs_are_comparable_from_the_end_of_the_warmup(warmup, late):
    assert schedule_for(72, defaults_for(80), 60, plan=warmup).late == late


def test_the_first_epoch_of_a_million_cells_is_not_without_a_kl():
    chosen = defaults_for(1_000_000)
    assert schedule_for(1_000_000, chosen).plan["n_steps_kl_warmup"] == 2_000
    assert schedule_for(1_000_000, chosen).late == 1
    assert schedule_for(1_000_000, chosen, plan={"n_epochs_kl_warmup": 3}).plan["n_steps_kl_warmup"] is None


def test_a_warmup_in_steps_is_not_overruled_by_the_default_in_epochs():
    schedule = schedule_for(72, defaults_for(80), 60, plan={"n_steps_kl_warmup": 25})
    assert schedule.plan["n_epochs_kl_warmup"] is None
    assert schedule.plan["n_steps_kl_warmup"] == 25


@pytest.mark.parametrize(("cells", "asked", "taken"), [(72, None, 18), (72, 4, 4), (20, None, 8), (4_000, 500, 500)])
def test_a_minibatch_has_at_most_a_quarter_of_the_cells(cells, asked, taken):
    assert schedule_for(cells, defaults_for(cells), 10, asked).batch_size == taken
