"""Running sums of a training epoch, kept on the device until they are asked for."""

import math
import time
from collections import deque


class Meter:
    """Loss, hits, samples and seconds of an epoch so far.

    What the device has not computed yet stays an NDArray until `collect`. The sums are taken in float64
    in the order of the steps, so they do not depend on when they are collected.

    Parameters
    ----------
    loss, hits, samples, seconds
        Sums to go on from: what `totals` gave.
    """

    def __init__(self, loss=0.0, hits=0, samples=0, seconds=0.0):
        self.loss, self.hits, self.samples, self.seconds = loss, hits, samples, seconds
        self._pending = deque()
        self._mark = None

    def start(self):
        """Start the clock; time before this is not counted."""
        self._mark, self._samples_at_mark = time.monotonic(), self.samples

    def stop(self):
        """Stop the clock, until it is started again; time since the last `collect` is not counted."""
        self._mark = None

    def add(self, loss, hits, samples):
        """Note one part of a step: NDArrays of the sums of loss and hits, and over how many samples."""
        self._pending.append((loss, hits, samples))

    def limit_pending(self, parts):
        """Wait until the device is at most so many noted parts behind."""
        if len(self._pending) > parts:
            self._pending[-parts - 1][0].wait_to_read()

    def collect(self):
        """Read what is pending; returns the samples per second since the last time, NaN while the clock stands."""
        while self._pending:
            loss, hits, samples = self._pending.popleft()
            self.loss += float(loss.asscalar())
            self.hits += int(hits.asscalar())
            self.samples += samples
        if self._mark is None:
            return math.nan
        elapsed, samples = time.monotonic() - self._mark, self.samples - self._samples_at_mark
        self.seconds += elapsed
        self.start()
        return samples / elapsed if elapsed else math.nan

    @property
    def totals(self):
        """The sums collected, of JSON types."""
        return {"loss": self.loss, "hits": self.hits, "samples": self.samples, "seconds": self.seconds}

    @property
    def mean_loss(self):
        """Mean loss per sample, in nats; NaN before the first."""
        return self.loss / self.samples if self.samples else math.nan

    @property
    def accuracy(self):
        """Share of hits; NaN before the first."""
        return self.hits / self.samples if self.samples else math.nan

    @property
    def speed(self):
        """Samples per second over the whole epoch; NaN before the first."""
        return self.samples / self.seconds if self.seconds else math.nan
