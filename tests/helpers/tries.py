"""Count the tries of the fuzz tests, and write their table into the documentation.

The tests of `tests/fuzz` make a bounded number of tries. With RESATTNET_FUZZ=full (`make fuzz`) they make all of them,
and the table of `docs/reliability.md` is written again.
"""

import os
import signal
from contextlib import contextmanager
from typing import Dict, List

from helpers.pages import write_between
from helpers.scripts import ROOT

FULL = os.environ.get("RESATTNET_FUZZ") == "full"
SECONDS = 10  # in which each input is read
PAGE = os.path.join(ROOT, "docs", "reliability.md")

counts: Dict[str, List[int]] = {}  # by kind of input: tries that were refused in one line, and tries that were taken


def count(kind, refused):
    """Count one try, which was refused in one line or taken."""
    counts.setdefault(kind, [0, 0])[0 if refused else 1] += 1


@contextmanager
def time_limit(what):
    """Raise an error where the code within takes longer than SECONDS."""

    def stop(*_):
        raise AssertionError(f"{what}: no answer within {SECONDS} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def table():
    """Return the lines of the table."""
    rows = [
        f"| {kind} | {refused + taken:,} | {refused:,} | {taken:,} |"
        for kind, (refused, taken) in sorted(counts.items())
    ]
    total = [sum(column) for column in zip(*counts.values())]
    return ["| input | tries | refused in one line | taken |", "|---|---|---|---|", *rows] + [
        f"| all | {sum(total):,} | {total[0]:,} | {total[1]:,} |"
    ]


def write_table():
    """Write the table between its marks in the documentation."""
    write_between(PAGE, "tries", table())
