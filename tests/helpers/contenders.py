"""Builders of contenders for the benchmark's processes, which import this module and not MXNet."""

import os
import signal

from resattnet.benchmark.contender import Unavailable
from resattnet.system.errors import InputError


def build_counter(options, shared):
    return lambda: options.steps


def build_missing(options):
    raise Unavailable("a part is not here")


def build_wrong(options):
    raise InputError(f"--steps {options.steps}: too many")


def build_told(options, devices=1):
    raise InputError("{} {}".format(*tuple(map(os.environ.get, ("OMP_NUM_THREADS", "MXNET_CPU_TEMP_COPY")))))


def build_killed(options):
    os.kill(os.getpid(), signal.SIGKILL)


def build_one_by_one(options):
    return lambda: (0.002, 0.004)
