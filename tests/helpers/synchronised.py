"""Print how far a step on two devices with combined statistics is from one on a single device, as JSON.

A process of its own, since MXNet must not have computed before.
"""

import json
import os
import sys

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [os.path.dirname(TESTS), TESTS]

import numpy as np  # noqa: E402

from resattnet.machine.cores import separate_scratch, split_cores  # noqa: E402

split_cores(2)
separate_scratch()

from resattnet.machine.mxnet import mx  # noqa: E402
from resattnet.models.batch_norm import synchronise  # noqa: E402
from resattnet.models.network import build  # noqa: E402
from resattnet.models.spec import NetworkSpec  # noqa: E402

UNIT, SIZES = sys.argv[1], json.loads(sys.argv[2])
TYPE = "float64"  # in float32, rounding is amplified where ReLU has its kink
rng = np.random.RandomState(0)
batches = [(rng.randn(sum(sizes), 3, 16, 16), rng.randint(10, size=sum(sizes))) for sizes in SIZES]


def train(devices):
    """Return the gradients of each batch, added over the devices, and the running statistics of each device."""
    mx.random.seed(3)
    net = build(NetworkSpec(10, stem="cifar", num_layers=56, widths="tiny", unit=UNIT))
    net.initialize(mx.init.MSRAPrelu(), ctx=devices)
    net.cast(TYPE)
    synchronised = synchronise(net, devices) if len(devices) > 1 else None
    net.hybridize(static_alloc=True, static_shape=True)
    loss = mx.gluon.loss.SoftmaxCrossEntropyLoss()
    parameters = net._collect_params_with_prefix()
    gradients = []
    for sizes, (images, labels) in zip(SIZES, batches):
        parts = sizes if synchronised else [sum(sizes)]
        places = np.cumsum([0, *parts])
        if synchronised:
            synchronised.begin(parts)
        for parameter in parameters.values():
            if parameter.grad_req != "null":
                parameter.zero_grad()
        with mx.autograd.record():
            losses = [
                loss(
                    net(mx.nd.array(images[start:end], ctx=device, dtype=TYPE)),
                    mx.nd.array(labels[start:end], ctx=device),
                )
                for start, end, device in zip(places, places[1:], devices)
            ]
        mx.autograd.backward(losses)
        mx.nd.waitall()
        gradients.append(
            {
                name: sum(gradient.asnumpy() for gradient in parameter.list_grad())
                for name, parameter in parameters.items()
                if parameter.grad_req != "null"
            }
        )
    statistics = {
        name: [data.asnumpy() for data in parameter.list_data()]
        for name, parameter in parameters.items()
        if "running" in name
    }
    return gradients, statistics


expected, whole = train([mx.cpu(0)])
found, parts = train([mx.cpu(0), mx.cpu(1)])
largest = [max(np.abs(gradient).max() for gradient in step.values()) for step in expected]
apart = [
    max(np.abs(step[name] - other[name]).max() for name in step) / scale
    for step, other, scale in zip(expected, found, largest)
]
of_statistics = [max(np.abs(copy[place] - whole[name][0]).max() for name, copy in parts.items()) for place in (0, 1)]
print(json.dumps({"gradients": [float(each) for each in apart], "statistics": [float(each) for each in of_statistics]}))
