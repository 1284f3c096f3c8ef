"""Train as the command `train` does, on small digits."""

import os
import sys
from types import SimpleNamespace

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [os.path.dirname(TESTS), TESTS]

from helpers import small_digits  # noqa: E402
from resattnet.commands import run  # noqa: E402

small_digits.use(SimpleNamespace(setattr=setattr))
run("train")
