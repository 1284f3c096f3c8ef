"""Sum the loss and hits of a training epoch; the sums stay on the device until they are read."""

from __future__ import annotations

import math
import time
from collections import deque
from typing import Any, Dict, Optional


class Meter:
    """Loss, hits, samples and seconds of the epoch so far.

    Results that the device has not computed yet stay NDArrays until `collect`. They are summed in float64 and in the
    order of the steps, so the sums do not depend on when they are collected.

    Parameters
    ----------
    loss, hits, samples, seconds
        Sums to continue from, as returned by `totals`.
    """

    def __init__(self, loss: float = 0.0, hits: int = 0, samples: int = 0, seconds: float = 0.0) -> None:
        self.loss, self.hits, self.samples, self.seconds = loss, hits, samples, seconds
        self._pending: deque = deque()
        self._mark: Optional[float] = None

    def start(self) -> None:
        """Start the clock; time before this call is not counted."""
        self._mark, self._samples_at_mark = time.monotonic(), self.samples

    def stop(self) -> None:
        """Stop the clock until `start`; time since the last `collect` is not counted."""
        self._mark = None

    def add(self, loss: Any, hits: Any, samples: int) -> None:
        """Add a part of a step: the sums of loss and hits as NDArrays, and the number of samples."""
        self._pending.append((loss, hits, samples))

    def limit_pending(self, parts: int) -> None:
        """Wait until at most `parts` added parts are still being computed on the device."""
        if len(self._pending) > parts:
            self._pending[-parts - 1][0].wait_to_read()

    def collect(self) -> float:
        """Read the pending parts; return the samples per second since the last call, NaN while the clock is stopped."""
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
    def totals(self) -> Dict[str, Any]:
        """The collected sums, as JSON types."""
        return {"loss": self.loss, "hits": self.hits, "samples": self.samples, "seconds": self.seconds}

    @property
    def mean_loss(self) -> float:
        """Mean loss per sample, in nats; NaN before the first sample."""
        return self.loss / self.samples if self.samples else math.nan

    @property
    def accuracy(self) -> float:
        """Fraction of hits; NaN before the first sample."""
        return self.hits / self.samples if self.samples else math.nan

    @property
    def speed(self) -> float:
        """Samples per second over the whole epoch; NaN before the first sample."""
        return self.samples / self.seconds if self.seconds else math.nan
