"""Measure speed: contenders take turns, each in a process of its own, and their times are compared round by round."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import functools
import itertools
import os
import platform
from typing import Any, Callable, Dict, List, Sequence, Tuple

from .. import __version__
from ..machine.cores import core_count
from ..machine.facts import cpu_facts
from ..machine.packages import installed_version
from .contender import Contender, Unavailable, missing_part, threads
from .options import BenchmarkOptions
from .process import ContenderProcess, Turn
from .results import WARM_UP_ROUNDS, Result, compare_speeds, interleave

_PACKAGES = ("mxnet", "torch", "openvino", "onnxruntime", "nncf", "numpy", "gluoncv")


def measure_speed(contenders: Sequence[Contender], options: BenchmarkOptions) -> Tuple[List[Result], List[str]]:
    """Measure the contenders of one part in turns.

    Parameters
    ----------
    contenders : sequence of Contender
    options : BenchmarkOptions

    Returns
    -------
    results : list of Result
        In the order of the contenders, without those that cannot run on this machine.
    notes : list of str
        Why the others cannot.
    """
    groups: Dict[str, List[Contender]] = {}
    running, turns, notes = [], [], []
    for contender in contenders:
        obstacle = contender.obstacle or missing_part(contender, options)  # without a process, which takes seconds
        if obstacle:
            notes.append(obstacle)
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
            turns += [functools.partial(process.turn, index) for index in range(len(group))]
        calls: List[List[Turn]] = [[] for _ in turns]
        speeds = interleave([functools.partial(_speed, *each) for each in zip(turns, calls)], options.repeats)
        results = [
            result._replace(latencies=tuple(itertools.chain(*(turn.latencies for turn in own[WARM_UP_ROUNDS:]))))
            for result, own in zip(compare_speeds(running, speeds), calls)
        ]
        return results, list(dict.fromkeys(notes))


def _speed(turn: Callable[[], Turn], calls: List[Turn]) -> float:
    """Run a turn, add it to `calls`, and return its speed."""
    calls.append(turn())
    return calls[-1].speed


def conditions(options: BenchmarkOptions) -> Dict[str, Any]:
    """Return the conditions on which the figures depend, as JSON types."""
    model, instructions = cpu_facts()
    versions = {
        name: installed_version(name)
        for name in ("mxnet", "torch", "openvino", "onnxruntime", "nncf", "numpy", "gluoncv")
    }
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
