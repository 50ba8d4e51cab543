"""Runs that would not end in time are not started."""

from __future__ import annotations

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


def test_a_run_is_expected_to_take_as_long_as_the_last_of_its_kind_or_the_longest_of_its_part():
    clock = Clock()
    budget = Budget(60, clock)
    for kind, seconds in ((("a", "slow"), 30), (("a", "fast"), 5)):
        with budget.timing(kind):
            clock.time += seconds
    assert budget.left == 25
    assert budget.fits(("a", "fast"))
    assert not budget.fits(("a", "slow"))
    assert not budget.fits(("a", "never run"))
    assert budget.fits(("b", "never run"))
    assert not budget.fits(("a", "fast"), least=26)


def test_nothing_is_started_once_the_time_is_over():
    clock = Clock()
    budget = Budget(10, clock)
    clock.time += 11
    assert budget.left == 0
    assert not budget.fits(("a",))
