"""Tests for the parts of a network: they cover it, begin where the paper's stages begin, and can be frozen."""

import json

import numpy as np
import pytest

from helpers.networks import images, initialised
from resattnet.machine.mxnet import mx
from resattnet.models.network import build
from resattnet.models.parts import PARTS, expand_parts, freeze, part_layers
from resattnet.models.precision import to_bfloat16
from resattnet.models.spec import STEMS, NetworkSpec, Spec, Widths

SMALL = dict(depth=Spec(1, 1, 1, (1, 2, 3)), channels=Widths(8, (16, 20, 24), 28))


@pytest.mark.parametrize("stem", STEMS)
def test_parts_divide_the_features_at_the_changes_of_width(stem):
    net = build(NetworkSpec(10, stem=stem), **SMALL)
    layers = [part_layers(net, part) for part in PARTS]
    assert sum(layers, []) == list(net.features)
    assert [sum(type(layer).__name__ == "AttentionModule" for layer in part) for part in layers] == [0, 1, 2, 3, 0]
    net.initialize()
    x, widths = mx.nd.zeros((1, 3, 32, 32)), []
    for part in layers:
        for layer in part:
            x = layer(x)
        widths.append(x.shape[1])
    assert widths == [8, 16, 20, 24, 28]


@pytest.mark.parametrize(
    "names, parts",
    [
        (("stage1", "stem"), ("stem", "stage1")),
        (("tail", "tail"), ("tail",)),
        (("features",), PARTS),
        (("tail", "features"), PARTS),
        (("head", "stem"), ("stem", "head")),
    ],
)
def test_names_of_parts_are_put_in_order(names, parts):
    assert expand_parts(names) == parts == expand_parts(parts)


def batch_norms(block):
    found = []
    block.apply(lambda one: found.append(one) if isinstance(one, mx.gluon.nn.BatchNorm) else None)
    return found


@pytest.mark.parametrize("parts", [("stem",), ("stage2", "tail"), PARTS])
def test_freezing_takes_the_gradients_and_fixes_the_statistics_of_these_parts_only(parts):
    net = initialised(build(NetworkSpec(10), **SMALL))
    total = sum(p.data().size for p in net.collect_params().values() if p.grad_req != "null")
    words = freeze(net, parts)
    frozen = [layer for part in parts for layer in part_layers(net, part)]
    own = {name for layer in frozen for name in layer.collect_params()}
    trained = {name: p for name, p in net.collect_params().items() if p.grad_req != "null"}
    assert own and not own & set(trained)
    assert {name for name in set(net.collect_params()) - own if "running" not in name} == set(trained)
    count = sum(p.data().size for p in trained.values())
    assert words == f"frozen: {', '.join(parts)}; {count:,} of {total:,} parameters are trained"
    fixed = {id(norm) for layer in frozen for norm in batch_norms(layer)}
    for norm in batch_norms(net):
        assert norm._kwargs["use_global_stats"] == (id(norm) in fixed)


def test_the_graph_in_bfloat16_has_the_same_frozen_parts():
    parts = ("stem", "stage2")
    net = initialised(build(NetworkSpec(10), **SMALL))
    freeze(net, parts)
    own = {name for part in parts for layer in part_layers(net, part) for name in layer.collect_params()}
    graph = to_bfloat16(net)
    nodes = json.loads(graph(mx.sym.var("data")).tojson())["nodes"]
    fixed = {}
    for node in nodes:
        if node["op"] in ("BatchNorm", "_contrib_BatchNormWithReLU"):
            mean = nodes[node["inputs"][3][0]]["name"]
            fixed[mean] = node["attrs"]["use_global_stats"] == "True"
    assert set(fixed) == {name for name in net.collect_params() if name.endswith("running_mean")}
    assert {name for name, is_fixed in fixed.items() if is_fixed} == own & set(fixed)
    trained = {name for name, parameter in graph.collect_params().items() if parameter.grad_req != "null"}
    assert trained == {name for name in set(net.collect_params()) - own if "running" not in name}


@pytest.mark.parametrize("hybrid", [False, True])
def test_a_frozen_network_computes_the_same_in_training_as_in_testing(hybrid):
    net = initialised(build(NetworkSpec(10), **SMALL))
    freeze(net, PARTS)
    if hybrid:
        net.hybridize(static_alloc=True, static_shape=True)
    x = images(4, 3, 16, 16)
    with mx.autograd.record():
        trained = net(x)
        loss = trained.square().sum()
    loss.backward()
    assert np.allclose(trained.asnumpy(), net(x).asnumpy(), atol=1e-5)
    # d(sum of squares)/d bias = 2 * sum of the logits over the batch
    assert np.allclose(net.output.bias.grad().asnumpy(), 2 * trained.asnumpy().sum(axis=0), rtol=1e-4, atol=1e-5)
