"""Tests for the estimate of the time that an epoch and a run still take, with a clock of their own."""

import pytest

from resattnet.runs import pace
from resattnet.runs.pace import Pace


class Clock:
    now = 0.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(pace, "time", clock)
    return clock


def marked(clock, pace, *times):
    """Mark one step more at each time."""
    for step, now in enumerate(times, 1):
        clock.now = now
        pace.mark(step)
    return pace


def test_the_first_step_counts_only_until_there_are_others(clock):
    run = Pace(epochs=3, epoch_steps=10, trained=100, validated=30)
    run.start_epoch(0)
    assert run.is_new
    marked(clock, run, 20.0)
    # Nine steps of 20 s, and a validation of a tenth of the 200 s of an epoch's steps
    assert not run.is_new and run.left(0, 1) == pytest.approx((9 * 20 + 20, 9 * 20 + 20 + 2 * (200 + 20)))
    marked(clock, run, 20.0, 22.0)
    assert run.left(0, 2) == pytest.approx((8 * 2 + 2, 8 * 2 + 2 + 2 * (20 + 2)))


def test_a_validation_counts_as_measured_and_not_as_steps(clock):
    run = Pace(epochs=3, epoch_steps=4, trained=100, validated=30)
    run.start_epoch(0)
    marked(clock, run, 5.0, 6.0, 7.0, 8.0)
    run.end_epoch()
    clock.now = 108.0
    run.mark(4)  # saving marks again
    clock.now = 158.0
    run.start_epoch(4)
    clock.now = 159.0
    run.mark(5)
    assert run.left(1, 1) == pytest.approx((3 + 150, 3 + 150 + 4 + 150))


def test_the_estimate_follows_the_load_of_the_machine(clock):
    run = Pace(epochs=1, epoch_steps=100, trained=100, validated=0)
    run.start_epoch(0)
    marked(clock, run, *range(1, 40), *range(40, 40 + 10 * pace.INTERVALS, 10))
    assert run.left(0, 90)[0] > 95


@pytest.mark.parametrize(
    "seconds, words", [(0.5, ""), (10.0, "at this speed the run takes 5 d 19 h more on this machine")]
)
def test_a_run_of_more_than_a_day_says_so_once(clock, seconds, words):
    """It says so as soon as the time of a step after the first one is known."""
    run = Pace(epochs=50, epoch_steps=1000, trained=1000, validated=0)
    run.start_epoch(0)
    marked(clock, run, 60.0)
    run.left(0, 1)
    assert list(run.first_notes()) == [] and not run.wants_report
    clock.now += pace.FIRST_REPORT + 1
    assert run.wants_report
    marked(clock, run, 60.0, 60.0 + seconds)
    run.left(0, 2)
    assert [note[: len(words)] for note in run.first_notes()] == [words] * bool(words)
    clock.now += 100
    assert list(run.first_notes()) == [] and not run.wants_report
