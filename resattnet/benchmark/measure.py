"""Measuring speed: contenders take turns, each in a process of its own, and their times are compared round by round.

Processes keep apart what would disturb: MXNet's AMP changes operators for the whole process, and PyTorch brings its
own OpenMP.
"""

import contextlib
import dataclasses
import datetime
import functools
import json
import multiprocessing
import os
import platform
import resource
import signal
import sys
import tempfile
import time
from typing import List, NamedTuple, Optional

import numpy as np

from .. import __version__
from ..system.cores import core_count
from ..system.errors import InputError
from ..system.machine import cpu_facts
from ..system.mxnet import mx
from ..system.packages import installed_version
from .cases import Unavailable, make_training_step, random_batch, repeated, threads

WARM_UP_ROUNDS = 2  # the first step plans memory, the second finds its weights in the layouts of the first


# ---- statistics ----


class Result(NamedTuple):
    """What one contender did.

    Attributes
    ----------
    part, name : str
        Of its contender.
    speeds : list of float
        Images per second, one per round.
    ratios_to_first, ratios_to_pytorch : list of float or None
        Its speed over that of the part's first contender, of its PyTorch rival, in the same round.
    """

    part: str
    name: str
    speeds: List[float]
    ratios_to_first: List[float]
    ratios_to_pytorch: Optional[List[float]] = None

    def summary(self):
        """The result with medians, as a dict of JSON types."""
        return dict(
            self._asdict(),
            images_per_second=median_and_range(self.speeds),
            ratio_to_first=median_and_range(self.ratios_to_first),
            ratio_to_pytorch=self.ratios_to_pytorch and median_and_range(self.ratios_to_pytorch),
        )


def median_and_range(values):
    """A dict of the median, the lowest and the highest of some values."""
    return {"median": float(np.median(values)), "min": float(min(values)), "max": float(max(values))}


def interleave(turns, repeats, warm_up=WARM_UP_ROUNDS):
    """Let contenders take turns, A B C A B C ..., so that a machine whose speed drifts slows all of them alike.

    Parameters
    ----------
    turns : list of callables
        Each does its work once and returns its speed.
    repeats : int
        Rounds measured, after `warm_up` rounds that are not.

    Returns
    -------
    float array (repeats, len(turns))
    """
    return np.array([[turn() for turn in turns] for _ in range(warm_up + repeats)])[warm_up:]


def compare_speeds(contenders, speeds):
    """Results of the contenders of one part.

    Parameters
    ----------
    contenders : list of Contender
    speeds : float array (rounds, len(contenders))

    Returns
    -------
    list of Result
    """
    columns = {contender.name: index for index, contender in enumerate(contenders)}
    results = []
    for contender, own in zip(contenders, speeds.T):
        rival = columns.get(contender.rival)
        results.append(
            Result(
                contender.part,
                contender.name,
                own.tolist(),
                (own / speeds[:, 0]).tolist(),
                None if rival is None else (own / speeds[:, rival]).tolist(),
            )
        )
    return results


# ---- how it is measured ----


class Turn(NamedTuple):
    """What a contender's process did in one turn.

    Attributes
    ----------
    images : int
    seconds, cpu_seconds : float
        Of the wall's clock, and of all its threads together.
    peak_memory : float
        The most that the process has held so far, in MiB.
    """

    images: int
    seconds: float
    cpu_seconds: float
    peak_memory: float

    @property
    def speed(self):
        """Images per second."""
        return self.images / self.seconds


def peak_memory():
    """The most memory that this process has held, in MiB.

    Linux's `ru_maxrss` begins with that of the process which started it, and would be of a large parent.
    """
    if os.path.exists("/proc/self/status"):
        with open("/proc/self/status") as stream:
            return next(int(line.split()[1]) for line in stream if line.startswith("VmHWM:")) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # macOS counts bytes


def _serve(connection, contenders, options):
    """Build contenders, then run the one that is asked for and answer with its `Turn`, until the other end closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends us with SIGTERM
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # an orderly exit, which ends a loader's workers as well
    try:
        runs = [contender.build(options, **contender.arguments) for contender in contenders]
        connection.send(None)
        while True:
            run = runs[connection.recv()]
            begin, busy = time.perf_counter(), time.process_time()
            images = run()
            connection.send(Turn(images, time.perf_counter() - begin, time.process_time() - busy, peak_memory()))
    except InputError as error:
        connection.send(error)
    except (EOFError, ConnectionError):
        pass
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # on the way out already


@contextlib.contextmanager
def _environment(values):
    """A context whose child processes find these environment variables."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


class ContenderProcess:
    """A process that holds contenders and lets one of them run when it is its turn; a context manager.

    Parameters
    ----------
    contenders : list of Contender
        All of them find the environment of the first.
    options : benchmark.options.BenchmarkOptions
    """

    def __init__(self, contenders, options):
        context = multiprocessing.get_context("spawn")  # a fork would share threads and patches, which must be apart
        self._names = " and ".join(contender.name for contender in contenders)
        self._connection, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, contenders, options))
        with _environment(contenders[0].child_environment):
            self._process.start()
        other.close()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self._connection.close()
        if kind:
            self._process.terminate()
        self._process.join(30)
        if self._process.is_alive():
            self._process.kill()

    def wait_until_built(self):
        """Raise what the builders raised, if they did."""
        self._receive()

    def turn(self, index=0):
        """The `Turn` of the contender `index`."""
        self.begin(index)
        return self.finish()

    def begin(self, index=0):
        """Let the contender `index` run."""
        self._connection.send(index)

    def finish(self):
        """Its `Turn`, when it is done."""
        return self._receive()

    def _receive(self):
        try:
            answer = self._connection.recv()
        except EOFError:
            self._process.join()
            if self._process.exitcode == -signal.SIGKILL:
                raise InputError(f"{self._names}: killed, most likely for want of memory: give a smaller --batch-size")
            raise RuntimeError(f"{self._names}: its process ended with exit code {self._process.exitcode}")
        if isinstance(answer, Exception):
            raise answer
        return answer


def measure_speed(contenders, options):
    """Measure contenders of one part against each other.

    Parameters
    ----------
    contenders : list of Contender
    options : benchmark.options.BenchmarkOptions

    Returns
    -------
    results : list of Result
        In the order of the contenders, less those that cannot run here.
    notes : list of str
        Why those cannot.
    """
    groups, running, turns, notes = {}, [], [], []
    for contender in contenders:
        if contender.obstacle:
            notes.append(contender.obstacle)
        else:
            groups.setdefault(contender.process or contender.name, []).append(contender)
    with contextlib.ExitStack() as stack:
        processes = [stack.enter_context(ContenderProcess(group, options)) for group in groups.values()]
        for process, group in zip(processes, groups.values()):
            try:
                process.wait_until_built()
            except Unavailable as reason:
                notes.append(str(reason))
                continue
            running += group
            turns += [functools.partial(_speed, process, index) for index in range(len(group))]
        return compare_speeds(running, interleave(turns, options.repeats)), list(dict.fromkeys(notes))


def _speed(process, index):
    return process.turn(index).speed


class OperatorTime(NamedTuple):
    """An operator's share of the time of all, and its milliseconds and calls in one training step."""

    name: str
    share: float
    milliseconds: float
    calls: float


def operator_times(totals, steps):
    """Rows of a profile, longest first.

    Parameters
    ----------
    totals : dict
        Of MXNet's profiler: operator to a dict with 'Total' in milliseconds and 'Count'.
    steps : int
        How many steps these are of.

    Returns
    -------
    list of OperatorTime
    """
    whole = sum(row["Total"] for row in totals.values())
    rows = [
        OperatorTime(name, row["Total"] / whole, row["Total"] / steps, row["Count"] / steps)
        for name, row in totals.items()
    ]
    return sorted(rows, key=lambda row: -row.share)


def profile(options):
    """Where the time of a training step goes, by operator: a list of `OperatorTime`."""
    step, (images, labels) = make_training_step(options), random_batch(options)
    # The engine runs operators in bulk, and the profiler would only see the bulks.
    step.graph.hybridize(static_alloc=True, static_shape=True, forward_bulk_size=0, backward_bulk_size=0)
    repeat = repeated(lambda: step(images, labels), options)
    repeat()
    # The profiler removes its file and makes it anew: os.devnull would be lost to the whole system.
    with tempfile.TemporaryDirectory() as folder:
        mx.profiler.set_config(
            profile_symbolic=True,
            profile_imperative=True,
            aggregate_stats=True,
            filename=os.path.join(folder, "profile.json"),
        )
        mx.profiler.set_state("run")
        repeat()
        mx.profiler.set_state("stop")
        totals = json.loads(mx.profiler.dumps(reset=True, format="json"))["Time"]["operator"]
    return operator_times(totals, options.steps)


# ---- conditions ----


def conditions(options):
    """What the figures depend on, as a dict of JSON types."""
    model, instructions = cpu_facts()
    versions = {name: installed_version(name) for name in ("mxnet", "torch", "numpy", "gluoncv")}
    return dict(
        dataclasses.asdict(options),
        cpu=model,
        instructions=instructions,
        cores=core_count(),
        threads=threads(),
        load=os.getloadavg()[0],
        python=platform.python_version(),
        versions=dict(versions, resattnet=__version__),
        system=platform.platform(),
        date=datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
    )
