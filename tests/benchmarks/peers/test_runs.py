"""Methods are run on the tasks that they can take."""

from __future__ import annotations

from argparse import Namespace

import pytest

from benchmarks.methods.registry import METHODS, PEERS
from benchmarks.peers.__main__ import _runs
from benchmarks.tasks import TASKS


def runs_of(data: str) -> set[tuple[str, str, str, int]]:
    return set(_runs(Namespace(sets=[data], tasks=list(TASKS), methods=list(PEERS), seeds=[0, 1])))


def test_what_needs_complete_cells_is_given_no_mosaic_and_what_has_no_seed_is_run_once():
    runs = runs_of("cite600")
    assert {task for _, task, method, _ in runs if method == "wnn"} == {"complete"}
    assert {seed for _, task, method, seed in runs if (task, method) == ("complete", "pca")} == {0}
    assert {seed for _, task, method, seed in runs if (task, method) == ("mosaic30", "pca")} == {0, 1}


def test_no_mosaic_is_made_of_one_and_no_batch_loses_a_modality_where_there_is_none():
    assert {task for _, task, _, _ in runs_of("tcga")} == {"complete"}
    assert {task for _, task, _, _ in runs_of("teaseq")} == {"complete", "mosaic30", "mosaic60"}


@pytest.mark.parametrize("name", ["mmvae", "scvi", "prior normal"])
def test_methods_are_found_by_their_name(name):
    assert callable(METHODS[name].load())
