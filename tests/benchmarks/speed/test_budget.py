"""Runs that would not end in time are not started."""

from __future__ import annotations

import pytest

from benchmarks.speed._budget import Budget


class Clock:
    """Stands still unless it is set."""

    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


def test_without_an_end_everything_fits():
    budget = Budget(None)
    assert budget.left is None
    assert budget.fits(("part", "one"), least=1e9)


def test_a_run_is_expected_to_take_as_long_as_those_that_are_most_like_it():
    clock = Clock()
    budget = Budget(100, clock)
    for kind, seconds in ((("a", "large", 1), 50), (("a", "small", 1), 15), (("a", "small", 2), 5)):
        with budget.timing(kind):
            clock.time += seconds
    assert budget.left == 30
    assert budget.fits(("a", "small", 3), least=30)
    assert not budget.fits(("a", "small", 3), least=31)
    assert not budget.fits(("a", "large", 1))
    assert not budget.fits(("a", "never run", 1))
    assert budget.fits(("b", "never run", 1))
    clock.time += 20
    assert budget.fits(("a", "small", 2))
    assert not budget.fits(("a", "small", 1))
    assert not budget.fits(("a", "small", 3))


def test_a_run_that_fails_took_its_time_too():
    clock = Clock()
    budget = Budget(100, clock)
    with pytest.raises(RuntimeError), budget.timing(("a",)):
        clock.time += 60
        raise RuntimeError
    assert not budget.fits(("a",))


def test_nothing_is_started_once_the_time_is_over():
    clock = Clock()
    budget = Budget(10, clock)
    clock.time += 11
    assert budget.left == 0
    assert not budget.fits(("a",))
