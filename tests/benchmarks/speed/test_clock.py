"""Epochs and the card are watched as they are."""

from __future__ import annotations

import time
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.speed import _clock
from benchmarks.speed._clock import CardUse, EpochTimes


def test_an_epoch_lasts_from_its_first_minibatch_to_its_last(monkeypatch):
    ticks = iter([1.0, 4.0, 10.0, 12.0])
    monkeypatch.setattr(_clock, "now", lambda: next(ticks))
    times = EpochTimes(2)
    for _ in range(2):
        for number in range(3):
            times.on_train_batch_start(None, None, None, number)
            times.on_train_batch_end(SimpleNamespace(is_last_batch=number == 2), None, None, None, number)
    assert times.spans == [(1.0, 4.0), (10.0, 12.0)]
    assert times.counted() == [(10.0, 12.0)]
    assert times.seconds() == [2.0]


def test_fewer_epochs_than_asked_for_are_no_measurement():
    times = EpochTimes(3)
    times.spans = [(1.0, 4.0), (10.0, 12.0)]
    with pytest.raises(ValueError, match="Expected 3 epochs.*got 2"):
        times.counted()


def test_a_single_epoch_counts():
    times = EpochTimes(1)
    times.spans = [(1.0, 4.0)]
    assert times.counted() == [(1.0, 4.0)]


def test_training_ends_once_enough_was_seen_of_the_epochs_that_count():
    times, trainer = EpochTimes(2, enough=5.0), SimpleNamespace(should_stop=False)
    for span, stops in (((0.0, 9.0), False), ((9.0, 12.0), False), ((12.0, 14.0), True)):
        times.spans.append(span)
        times.on_train_epoch_end(trainer, None)
        assert trainer.should_stop == stops


def test_the_card_is_seen_while_it_is_watched(monkeypatch):
    monkeypatch.setattr(_clock, "SECONDS_BETWEEN_LOOKS", 0.001)
    with CardUse(("echo", "40")) as use:
        while len(use.seen) < 3:
            time.sleep(0.001)
    assert {share for _, share in use.seen} == {0.4}
    assert use.seen == sorted(use.seen)


def test_the_card_is_judged_by_what_was_seen_within_the_epochs():
    use = CardUse()
    use.seen = [(1.0, 0.0), (2.0, 0.5), (3.0, 0.1), (4.0, 0.7)]
    assert use.within([(1.5, 2.5), (3.5, 4.5)]) == pytest.approx(0.6)
    assert np.isnan(use.within([(5.0, 6.0)]))


def test_a_card_that_does_not_tell_is_not_taken_for_idle(monkeypatch):
    monkeypatch.setattr(_clock, "SECONDS_BETWEEN_LOOKS", 0.001)
    with CardUse(("echo", "[N/A]")) as use:
        time.sleep(0.05)
    assert use.seen == []


def test_where_no_program_tells_of_the_card_nothing_is_seen():
    with CardUse(("there-is-no-such-program",)) as use:
        pass
    assert use.seen == []
