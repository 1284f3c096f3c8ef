"""Run contenders in processes of their own.

Processes keep apart what would disturb a comparison: MXNet's AMP changes operators of the whole process, and PyTorch
brings its own OpenMP.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import sys
import time
from multiprocessing.connection import Connection
from typing import Any, NamedTuple, Sequence, Tuple

from ..machine.cores import environment
from ..system.errors import InputError
from .contender import Contender
from .options import BenchmarkOptions


class Turn(NamedTuple):
    """Work of a contender's process in one turn.

    Attributes
    ----------
    images : int
    seconds, cpu_seconds : float
        Wall time, and CPU time of all threads together.
    peak_memory : float
        Largest resident memory of the process so far, in MiB.
    latencies : tuple of float
        Seconds of each call, where the contender measures them.
    """

    images: int
    seconds: float
    cpu_seconds: float
    peak_memory: float
    latencies: Tuple[float, ...] = ()

    @property
    def speed(self) -> float:
        """Images per second."""
        return self.images / self.seconds


def peak_memory() -> float:
    """Return the largest resident memory of this process, in MiB.

    Linux's `ru_maxrss` is not used: it begins with the memory of the parent process.
    """
    if os.path.exists("/proc/self/status"):
        with open("/proc/self/status") as stream:
            return next(int(line.split()[1]) for line in stream if line.startswith("VmHWM:")) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # macOS counts bytes


def _serve(connection: Connection, contenders: Sequence[Contender], options: BenchmarkOptions) -> None:
    """Build contenders; then run the requested one and send its `Turn`, until the other end closes."""
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C reaches the whole group; the parent ends this process by SIGTERM
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # an orderly exit, which also ends the workers of a loader
    try:
        runs = [contender.build(options, **contender.arguments) for contender in contenders]
        connection.send(None)
        while True:
            run = runs[connection.recv()]
            begin, busy = time.perf_counter(), time.process_time()
            done = run()
            seconds, cpu_seconds = time.perf_counter() - begin, time.process_time() - busy
            latencies = done if isinstance(done, tuple) else ()
            images = len(latencies) or done
            connection.send(Turn(images, seconds, cpu_seconds, peak_memory(), latencies))
    except InputError as error:
        connection.send(error)
    except (EOFError, ConnectionError):
        pass
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the process is ending already


class ContenderProcess:
    """A process that holds contenders and runs one of them when it is its turn; a context manager.

    Parameters
    ----------
    contenders : sequence of Contender
        All of them have the environment of the first.
    options : BenchmarkOptions
    """

    def __init__(self, contenders: Sequence[Contender], options: BenchmarkOptions) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would share threads and the patches of MXNet's AMP
        self._names = " and ".join(contender.name for contender in contenders)
        self._connection, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, contenders, options))
        with environment(contenders[0].child_environment):
            self._process.start()
        other.close()

    def __enter__(self) -> ContenderProcess:
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        self._connection.close()
        if kind:
            self._process.terminate()
        self._process.join(30)
        if self._process.is_alive():
            self._process.kill()

    def wait_until_built(self) -> None:
        """Wait for the builders; raise their exception if there was one."""
        self._receive()

    def turn(self, index: int = 0) -> Turn:
        """Run the contender `index` once and return its `Turn`."""
        self.begin(index)
        return self.finish()

    def begin(self, index: int = 0) -> None:
        """Start a turn of the contender `index`."""
        self._connection.send(index)

    def finish(self) -> Turn:
        """Wait for the end of the turn and return it."""
        return self._receive()

    def _receive(self) -> Any:
        try:
            answer = self._connection.recv()
        except EOFError as error:
            self._process.join()
            if self._process.exitcode == -signal.SIGKILL:
                raise InputError(
                    f"{self._names}: killed, most likely because memory ran out: give a smaller `batch_size`"
                ) from error
            raise RuntimeError(f"{self._names}: its process ended with exit code {self._process.exitcode}") from error
        if isinstance(answer, Exception):
            raise answer
        return answer
