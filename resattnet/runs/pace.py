"""Estimate the time that an epoch and a run still take, from the steps that this process has done."""

from __future__ import annotations

import time
from collections import deque
from typing import Deque, Iterator, Optional, Tuple

from ..system.durations import format_duration

INTERVALS = 20  # between two marks: the estimate follows the machine's load
LONG = 24 * 3600  # seconds of a run above which it says at its beginning how long it takes
FIRST_REPORT = 3.0  # seconds of steps after which a run says for the first time how fast it is


class Pace:
    """Measure the time of steps and of what comes between two epochs.

    The first step of a process also sets up the graphs of the network. It counts only until there are others.

    Parameters
    ----------
    epochs, epoch_steps : int
        Epochs of the run, and steps of an epoch.
    trained, validated : int
        Images that an epoch trains on, and images that are validated after it.
    """

    def __init__(self, epochs: int, epoch_steps: int, trained: int, validated: int) -> None:
        self._epochs, self._epoch_steps = epochs, epoch_steps
        # Until one is measured, the time of a validation relative to that of the steps of an epoch: a step computes
        # forward, and backward about twice as much.
        self._validation = validated / (3 * trained)
        self._is_reported = False
        self._run_left = 0.0
        self._first: Optional[Tuple[float, int]] = None
        self._intervals: Deque[Tuple[float, int]] = deque(maxlen=INTERVALS)
        self._last: Optional[Tuple[float, int]] = None
        self._began: Optional[float] = None  # when the steps after the first one began
        self._ended: Optional[float] = None  # when the steps of the last epoch ended
        self._between: Optional[float] = None

    def start_epoch(self, step: int) -> None:
        """Start the clock before the first step of an epoch in this process; `step` is the number of steps done."""
        now = time.monotonic()
        if self._ended is not None:
            self._between = now - self._ended
        self._last = now, step

    def mark(self, step: int) -> None:
        """Note that the first `step` steps of the run have been computed by now."""
        now = time.monotonic()
        if self._last and step > self._last[1]:
            interval = now - self._last[0], step - self._last[1]
            if self._first is None:
                self._first, self._began = interval, now
            else:
                self._intervals.append(interval)
            self._last = now, step

    def end_epoch(self) -> None:
        """Note that the steps of the epoch have been computed by now."""
        self._ended = time.monotonic()

    @property
    def is_new(self) -> bool:
        """Whether no step has been marked."""
        return self._first is None

    @property
    def wants_report(self) -> bool:
        """Whether it is time for the first report."""
        return not self._is_reported and self._began is not None and time.monotonic() - self._began > FIRST_REPORT

    def left(self, epoch: int, batch: int) -> Tuple[float, float]:
        """Return the seconds that the epoch and the run still take, with validation.

        Parameters
        ----------
        epoch, batch : int
            Number of whole epochs done, and of batches done in the next epoch. At least one step is marked.
        """
        assert self._first is not None
        intervals = list(self._intervals) or [self._first]
        step = sum(seconds for seconds, _ in intervals) / sum(steps for _, steps in intervals)
        steps = self._epoch_steps * step
        between = self._validation * steps if self._between is None else self._between
        epoch_left = (self._epoch_steps - batch) * step + between
        self._run_left = epoch_left + (self._epochs - epoch - 1) * (steps + between)
        return epoch_left, self._run_left

    def first_notes(self) -> Iterator[str]:
        """Yield what a run says of its length after its first report: nothing if it takes less than `LONG`."""
        if self._is_reported or not self._intervals:
            return
        self._is_reported = True
        if self._run_left > LONG:
            yield (
                f"at this speed the run takes {format_duration(self._run_left)} more on this machine; a smaller "
                "network, fewer --epochs or a GPU take less; --resume continues a run after a stop"
            )
