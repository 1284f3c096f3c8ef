"""Worker processes that make batches, and whose death is noticed.

Two alternatives were tried with two workers on Python 3.8, 3.11 and 3.12. With
`concurrent.futures.ProcessPoolExecutor`, the workers outlive a killed parent, and a program with a stuck worker never
exits. `multiprocessing.Pool`, which Gluon's DataLoader uses, waits for the batch of a killed worker until the timeout,
and its message names no worker.
"""

from __future__ import annotations

import collections
import itertools
import multiprocessing
import multiprocessing.util
import signal
import time
import traceback
import weakref
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Callable, Deque, Dict, Iterable, Iterator, NamedTuple, NoReturn, Sequence, Tuple

from ..system.errors import InputError
from ..system.signals import stop_requested
from .shared_slots import SharedSlots

BATCHES_AHEAD = 2  # batches that each worker is asked for before they are needed
FORK = multiprocessing.get_context("fork")  # workers share the memory of the data set, and the slots of the batches
PATIENCE = 120  # seconds that a worker may take for a batch
STOP_PATIENCE = 2  # seconds that a worker may take for a batch, or to end, once the run is to stop


class _Failure(NamedTuple):
    """Answer of a worker that could not make a batch."""

    error: Exception
    trace: str


def _work(
    connection: Connection, parent_connection: Connection, make_batch: Callable[[Any], Any], slots: SharedSlots
) -> None:
    """Answer each request on a connection until its other end is closed, however the parent process ends."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)  # these reach the whole group; the parent process decides
    for number in (signal.SIGTERM, signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE):
        signal.signal(number, signal.SIG_DFL)  # MXNet's own handlers may deadlock in a fork: the worker would not die
    parent_connection.close()
    try:
        while True:
            ticket, slot, request = connection.recv()
            try:
                answer = make_batch(request)
            except Exception as error:
                answer = _Failure(error, traceback.format_exc())
            connection.send((ticket, slots.put(slot, answer)))
    except (EOFError, OSError):
        pass


_processes: weakref.WeakSet[BaseProcess] = weakref.WeakSet()  # those that this process has started


def _end_processes() -> None:
    """End all workers when this process ends. A stopped worker (SIGSTOP) takes SIGKILL only."""
    for process in _processes:
        process.terminate()
    deadline = time.monotonic() + STOP_PATIENCE
    for process in _processes:
        process.join(max(0.0, deadline - time.monotonic()))
        if process.is_alive():
            process.kill()


# Before multiprocessing's own function, which waits for each worker without end.
multiprocessing.util.Finalize(None, _end_processes, exitpriority=10)


class Worker:
    """A process that makes batches, with a pipe of its own.

    Only the worker holds its end of the pipe, so that its death closes the pipe, even in the middle of a batch.

    Parameters
    ----------
    name : str
        Name for messages.
    make_batch : callable
        Makes a batch, a tuple of arrays, from a request. A request is a few bytes, so that no pipe to a worker ever
        fills up.
    batch_bytes : int
        Size of the largest batch. Larger ones are sent through the pipe, which takes longer.
    """

    def __init__(self, name: str, make_batch: Callable[[Any], Any], batch_bytes: int = 0) -> None:
        self._slots = SharedSlots(BATCHES_AHEAD, batch_bytes)
        self._connection, its_end = multiprocessing.Pipe()
        self._process = FORK.Process(
            target=_work, name=name, daemon=True, args=(its_end, self._connection, make_batch, self._slots)
        )
        self._process.start()
        _processes.add(self._process)
        its_end.close()
        self._name = f"{name} (process {self._process.pid})"
        self._tickets = itertools.count()
        self._answers: Dict[int, Any] = {}

    def ask(self, request: Any) -> int:
        """Ask for a batch; return the ticket to `fetch` or to `forget` it with.

        Raises
        ------
        InputError
            If the worker is dead.
        """
        ticket = next(self._tickets)
        self._answers[ticket] = None
        try:
            self._connection.send((ticket, self._slots.reserve(), request))
        except OSError:
            self._raise_how_it_ended()
        return ticket

    def fetch(self, ticket: int) -> Any:
        """Wait for a batch, and return it.

        Raises
        ------
        InputError
            If the worker is dead, or makes no batch for `PATIENCE` seconds, or for `STOP_PATIENCE` seconds once the
            process has received a signal to stop.
        Exception
            What `make_batch` raised.
        """
        while self._answers[ticket] is None:
            try:
                self._wait()
                number, answer = self._connection.recv()
            except (EOFError, OSError):
                self._raise_how_it_ended()
            answer = self._slots.take(answer)
            if number in self._answers:
                self._answers[number] = answer
        answer = self._answers.pop(ticket)
        if isinstance(answer, _Failure):
            raise answer.error from RuntimeError(f"in {self._name}:\n{answer.trace}")
        return answer

    def _wait(self) -> None:
        """Wait until there is an answer to receive, or the worker is dead."""
        deadline = time.monotonic() + PATIENCE
        while not self._connection.poll(min(PATIENCE, STOP_PATIENCE)):
            if stop_requested():
                raise InputError(f"{self._name} has made no batch since the signal to stop")
            if time.monotonic() > deadline:
                raise InputError(
                    f"{self._name} has made no batch for {PATIENCE} s: `workers=0` makes them in the main process"
                )

    def forget(self, ticket: int) -> None:
        """Drop a batch that was asked for, when it comes."""
        self._answers.pop(ticket, None)

    def _raise_how_it_ended(self) -> NoReturn:
        self._process.join(5)
        code = self._process.exitcode
        if code is None:
            end = "closed its pipe"
        elif code == -signal.SIGKILL:
            end = "was killed, most likely because memory ran out: give fewer `workers`"
        elif code < 0:
            end = f"died of {signal.Signals(-code).name}"
        else:
            end = f"ended with exit code {code}"
        raise InputError(f"{self._name} {end}") from None


def start_workers(count: int, make_batch: Callable[[Any], Any], batch_bytes: int = 0) -> Tuple[Worker, ...]:
    """Start `count` worker processes.

    Parameters
    ----------
    count : int
    make_batch, batch_bytes
        See `Worker`.
    """
    names = (f"loader worker {number} of {count}" for number in range(1, count + 1))
    return tuple(Worker(name, make_batch, batch_bytes) for name in names)


def make_in_order(workers: Sequence[Worker], requests: Iterable[Any]) -> Iterator[Any]:
    """Yield the batches of some requests in their order, made by workers in turn.

    Each worker has `BATCHES_AHEAD` requests at most. Requests that are left when the iterator is closed are forgotten.
    """
    asked: Deque[Tuple[Worker, int]] = collections.deque()
    try:
        for worker, request in zip(itertools.cycle(workers), requests):
            if len(asked) == BATCHES_AHEAD * len(workers):
                first, ticket = asked.popleft()
                yield first.fetch(ticket)
            asked.append((worker, worker.ask(request)))
        while asked:
            first, ticket = asked.popleft()
            yield first.fetch(ticket)
    finally:
        for worker, ticket in asked:
            worker.forget(ticket)
