"""Make networks and arrays for tests, and inspect graphs."""

import collections
import json
import os
from collections import Counter

import numpy as np
import pytest

from resattnet.data.transforms import Transform
from resattnet.datasets import catalog
from resattnet.machine.amx import ask_for_amx
from resattnet.machine.facts import usable_instructions
from resattnet.machine.mxnet import mx
from resattnet.zoo import parameters
from resattnet.zoo.builders import get_attention_cifar


def trainable(net):
    """Return the number of trainable parameters of a network."""
    return sum(int(np.prod(p.shape)) for p in net.collect_params().values() if p.grad_req != "null")


def initialised(net, seed=1):
    """Initialise a network with running statistics other than 0 and 1, so that inference uses the statistics."""
    mx.random.seed(seed)
    net.initialize()
    rng = np.random.default_rng(seed)
    for name, parameter in net.collect_params().items():
        if name.endswith("running_mean"):
            parameter.set_data(mx.nd.array(rng.normal(0, 0.1, parameter.shape)))
        elif name.endswith("running_var"):
            parameter.set_data(mx.nd.array(rng.uniform(0.8, 1.2, parameter.shape)))
    return net


def images(*shape, seed=2):
    """Return an NDArray of normally distributed values."""
    return mx.nd.array(np.random.default_rng(seed).normal(size=shape))


def difference(a, b):
    """Return the largest absolute difference between two arrays."""
    return float(abs(a - b).max().asscalar())


DESCRIPTION = {"dataset": "digits", "data_format": "bin"}


def save_net(folder, widths="thin", classes=10, **description):
    """Save an untrained network with its description, and return the path.

    The predicted classes of the network vary between images.
    """
    net = initialised(get_attention_cifar(classes, 56, widths=widths))
    test_set, facts = catalog.load_images("digits", None, "test"), catalog.describe_data("digits")
    x, _ = Transform(facts.mean, facts.std, 10)(test_set.images[:50], test_set.labels[:50])
    net.output.bias.set_data(-net(mx.nd.array(x)).mean(axis=0))
    network = dict(classes=classes, num_layers=56, widths=widths, attention_learning="arl")
    path = str(folder / "net.params")
    parameters.save_parameters(net, path, dict(DESCRIPTION, network=network, **description))
    return path


def change_description(path, **changes):
    """Change entries of the description beside a parameter file; None removes an entry.

    The description is then without the digest of itself, as those of earlier versions.
    """
    name = os.path.splitext(path)[0] + ".json"
    with open(name) as handle:
        description = dict(json.load(handle), description_sha256=None, **changes)
    with open(name, "w") as handle:
        json.dump({key: value for key, value in description.items() if value is not None}, handle)


def operators(block):
    """Return the number of nodes of each operator in the graph of a block."""
    return Counter(node["op"] for node in json.loads(block(mx.sym.var("data")).tojson())["nodes"])


INSTRUCTIONS = usable_instructions()

needs_avx512 = pytest.mark.skipif(
    bool(INSTRUCTIONS) and "avx512f" not in INSTRUCTIONS,
    reason="oneDNN has bfloat16 on CPUs with AVX-512 only, and where DNNL_MAX_CPU_ISA allows it",
)

needs_amx = pytest.mark.skipif(
    "amx_bf16" not in INSTRUCTIONS or not ask_for_amx(),
    reason="this CPU has no AMX, or Linux or DNNL_MAX_CPU_ISA does not allow it",
)


def graph_types(symbol):
    """Return, for each operator of a symbol, the number of nodes by the item size of their output in bytes."""
    inner = symbol.get_internals()
    types = dict(zip(inner.list_outputs(), inner.infer_type(data=np.float32)[1]))
    found = collections.defaultdict(collections.Counter)
    for node in json.loads(symbol.tojson())["nodes"]:
        if node["op"] != "null":
            found[node["op"]][np.dtype(types[node["name"] + "_output"]).itemsize] += 1
    return found
