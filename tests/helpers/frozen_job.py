"""Train as the command `train` does, with fixed statistics of batch normalisation, images as they are and small digits.

Everything in a gradient is then a sum over the images, so that N processes compute what one does on the whole batch.
Start from trained parameters: with random ones, the last bits of a gradient change the training within a few steps.
"""

import os
import sys
from types import SimpleNamespace

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [os.path.dirname(TESTS), TESTS]

from helpers import small_digits  # noqa: E402
from helpers.runs import fix_statistics  # noqa: E402
from resattnet.commands import run  # noqa: E402
from resattnet.training import build, inputs  # noqa: E402

make_net, training_transform = build.make_net, inputs.training_transform


def make_fixed(*args, **kwargs):
    net = make_net(*args, **kwargs)
    fix_statistics(net)
    return net


build.make_net = make_fixed
inputs.training_transform = lambda options, facts: training_transform(options, facts, pad=0)._replace(flip=False)
if "digits" in sys.argv:
    small_digits.use(SimpleNamespace(setattr=setattr))
run("train")
