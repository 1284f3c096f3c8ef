"""Test that a process that makes no progress ends, and says where; in processes of their own."""

import subprocess
import sys
import time

from helpers.scripts import ROOT

CODE = """
import sys, time
sys.path.insert(0, {root!r})
from resattnet.system.watchdog import Watchdog
with Watchdog({seconds}, "rank 0 has made no step", "distributed") as dog:
    for _ in range(10):
        time.sleep(0.1)
        dog.feed()
    {then}
print("done")
"""


def run(seconds, then):
    began = time.monotonic()
    code = CODE.format(root=ROOT, seconds=seconds, then=then)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    return done, time.monotonic() - began


def test_a_process_without_progress_ends_and_names_the_place():
    done, seconds = run(0.6, "time.sleep(20)")
    assert done.returncode == 124 and 1.4 < seconds < 10 and done.stdout == ""
    assert done.stderr == "-c: rank 0 has made no step for 0.6 s, in <string>, line 9 (<module>)\n"


def test_a_process_with_progress_or_without_a_limit_goes_on():
    assert run(0.6, "pass")[0].stdout == "done\n"
    assert run(0, "time.sleep(1)")[0].stdout == "done\n"


def test_a_process_that_waits_for_others_ends_later():
    wait = (
        "from resattnet.distributed.group import Group; Group.total = lambda self, numbers: time.sleep(20); "
        "from resattnet.distributed import wishes; wishes.np.array = lambda *_: time.sleep(20); "
        "from resattnet.system.world import World; dog.feed(); wishes.Wishes().agree(Group(World(0, 2)))"
    )
    done, seconds = run(0.6, wait)
    assert done.returncode == 124 and "resattnet/distributed/wishes.py, line" in done.stderr and seconds > 4
