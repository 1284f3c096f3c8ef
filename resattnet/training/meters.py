"""Sum the loss and hits of a training epoch; the sums stay on the device until they are read."""

from __future__ import annotations

import math
import time
from collections import deque
from typing import Any, Dict, Optional

from ..distributed.group import SOLO, Group


class Meter:
    """Loss, hits, samples and seconds of the epoch so far.

    They are those of all processes that train together: `collect` adds up what each has counted since the last call, so
    all processes call it after the same steps.

    Results that the device has not computed yet stay NDArrays until `collect`. They are summed in float64 and in the
    order of the steps, so the sums do not depend on when they are collected.

    Parameters
    ----------
    loss, hits, samples, seconds
        Sums to continue from, as returned by `totals`.
    group : Group
        The processes whose sums are added.
    """

    def __init__(
        self, loss: float = 0.0, hits: int = 0, samples: int = 0, seconds: float = 0.0, group: Group = SOLO
    ) -> None:
        self._group = group
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
        self._read_pending()
        if self._mark is None:
            return math.nan
        elapsed, samples = time.monotonic() - self._mark, self.samples - self._samples_at_mark
        self.seconds += elapsed
        self.start()
        return samples / elapsed if elapsed else math.nan

    def _read_pending(self) -> None:
        """Add what was counted since the last call, here and in the other processes."""
        counted = [(float(loss.asscalar()), int(hits.asscalar()), samples) for loss, hits, samples in self._pending]
        self._pending.clear()
        if self._group.world.size > 1:
            loss, hits, samples = self._group.total([sum(column) for column in zip(*counted, (0, 0, 0))])
            counted = [(float(loss), int(hits), int(samples))]
        for loss, hits, samples in counted:
            self.loss += loss
            self.hits += hits
            self.samples += samples

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
