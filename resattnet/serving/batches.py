"""Put the images that wait together into batches, which one thread computes."""

from __future__ import annotations

import collections
import threading
from concurrent.futures import Future
from typing import Any, Callable, Deque, List, NamedTuple, Protocol, Sequence


class QueueFull(Exception):
    """More would wait than the limit allows."""


class Network(Protocol):
    """What computes the batches.

    Attributes
    ----------
    largest : int
        Largest number of items of a batch.
    """

    largest: int

    def compute(self, items: List[Any]) -> Sequence[Any]:
        """Return the result of each item."""


class _Waiting(NamedTuple):
    given: Any
    future: Future


class BatchThread:
    """A thread that computes what waits, in batches. All calls of MXNet have to come from one thread: it is this one.

    Nothing waits for a batch to fill: while one is computed, the next gathers.

    Parameters
    ----------
    open_network : callable
        Called without arguments, in the thread, before all else. Returns the `Network`.
    limit : int
        Largest number of items that wait.
    """

    def __init__(self, open_network: Callable[[], Network], limit: int) -> None:
        self._open, self._limit = open_network, limit
        self._queue: Deque[_Waiting] = collections.deque()
        self._changed = threading.Condition()
        self._closing = False
        self._ready: Future = Future()
        self._thread = threading.Thread(target=self._work, name="network", daemon=True)

    def start(self) -> Any:
        """Start the thread, wait until it has the network, and return the network.

        Raises
        ------
        Exception
            What `open_network` raises.
        """
        self._thread.start()
        return self._ready.result()

    def close(self) -> None:
        """Compute what waits, and end the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    @property
    def waiting(self) -> int:
        """Number of items that wait."""
        return len(self._queue)

    def submit(self, items: Sequence[Any]) -> List[Future]:
        """Let items wait for a batch; return their results to come. A result that is cancelled is not computed.

        Raises
        ------
        QueueFull
            If not all of them may wait; none does then.
        """
        entries = [_Waiting(item, Future()) for item in items]
        with self._changed:
            if self._closing or len(self._queue) + len(entries) > self._limit:
                raise QueueFull
            self._queue.extend(entries)
            self._changed.notify()
        return [entry.future for entry in entries]

    def _work(self) -> None:
        try:
            network = self._open()
        except BaseException as error:
            self._ready.set_exception(error)
            return
        self._ready.set_result(network)
        while True:
            batch = self._next_batch(network.largest)
            if not batch:
                return
            try:
                results = network.compute([entry.given for entry in batch])
            except Exception as error:  # it belongs to those who wait
                for entry in batch:
                    entry.future.set_exception(error)
            else:
                for entry, result in zip(batch, results):
                    entry.future.set_result(result)

    def _next_batch(self, largest: int) -> List[_Waiting]:
        """Wait for items, and take as many as a batch holds; an empty list if the thread is to end."""
        with self._changed:
            while True:
                batch: List[_Waiting] = []
                while self._queue and len(batch) < largest:
                    entry = self._queue.popleft()
                    if entry.future.set_running_or_notify_cancel():
                        batch.append(entry)
                if batch or self._closing:
                    return batch
                self._changed.wait()
