"""What a process wants to be done after a step, and how all processes agree on it: `Wishes`."""

from __future__ import annotations

import signal
from typing import NamedTuple

import numpy as np

from .group import Group

_STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # of several, the first is obeyed


class Wishes(NamedTuple):
    """What to do after a step.

    Attributes
    ----------
    stop : int
        Number of the signal to stop that was received; 0: none.
    save : bool
        Whether SIGUSR1 asks for a save.
    is_due : bool
        Whether the state is to be saved because of the time since the last save.
    report : bool
        Whether figures are to be reported.
    """

    stop: int = 0
    save: bool = False
    is_due: bool = False
    report: bool = False

    def agree(self, group: Group) -> Wishes:
        """Return what all processes do: what any of them wants, and when to save and report by the clock of rank 0."""
        if group.world.size == 1:
            return self
        clock = [self.is_due, self.report] if group.is_first else [False, False]
        votes = group.sum(np.array([*(self.stop == stop for stop in _STOPS), self.save, *clock], np.float32)) > 0
        stop = next((int(stop) for stop, vote in zip(_STOPS, votes) if vote), 0)
        return Wishes(stop, *(bool(vote) for vote in votes[len(_STOPS) :]))
