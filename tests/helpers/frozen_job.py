"""Train as the command `train` does, with fixed statistics of batch normalisation and images as they are.

Everything in a gradient is then a sum over the images, so that N processes compute what one does on the whole batch.
"""

import os
import sys

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [os.path.dirname(TESTS), TESTS]

import numpy as np  # noqa: E402

from helpers.runs import fix_statistics  # noqa: E402
from resattnet.commands import run  # noqa: E402
from resattnet.machine.mxnet import mx  # noqa: E402
from resattnet.training import build, inputs  # noqa: E402

make_net, training_transform = build.make_net, inputs.training_transform


def make_fixed(*args, **kwargs):
    """Return a network that normalises by the statistics of some noise, so that its outputs are small."""
    net = make_net(*args, **kwargs)
    net.apply(lambda block: isinstance(block, mx.gluon.nn.BatchNorm) and block._kwargs.update(momentum=0.0))
    noise = np.random.default_rng(0).normal(size=(16, 3, 32, 32)).astype(np.float32)
    with mx.autograd.record(), mx.autograd.train_mode():
        outputs = net(mx.nd.array(noise))
    outputs.backward()  # MXNet writes running statistics in the backward pass
    mx.nd.waitall()
    fix_statistics(net)
    net.hybridize(static_alloc=True, static_shape=True)  # the graph of the call above is dropped
    return net


build.make_net = make_fixed
inputs.training_transform = lambda options, facts: training_transform(options, facts, pad=0)._replace(flip=False)
run("train")
