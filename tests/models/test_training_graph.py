"""Test the graph that a training step computes against the network's own: bits, layouts, and what stays unchanged."""

import json

import numpy as np
import pytest

from helpers.networks import graph_types, images, initialised, needs_avx512, operators
from helpers.runs import fix_statistics
from helpers.scripts import python
from resattnet.data.transforms import Transform
from resattnet.datasets import catalog
from resattnet.machine.devices import wait_for_running_statistics
from resattnet.machine.facts import usable_instructions
from resattnet.machine.mxnet import mx
from resattnet.machine.onednn import BFLOAT16
from resattnet.models import layers, precision
from resattnet.models.fusion import fuse_all, is_exact
from resattnet.models.layers import LayoutAnchor
from resattnet.models.network import build
from resattnet.models.parts import freeze
from resattnet.models.precision import to_bfloat16
from resattnet.models.spec import NetworkSpec, Spec, Widths
from resattnet.models.training_graph import (
    TrainingGraph,
    compose,
    computes_with_onednn,
    to_float32,
)

pytestmark = pytest.mark.isa

FUSED = "_contrib_BatchNormWithReLU"
# Bottlenecks of 16 channels, so that all layers are wide enough for oneDNN's blocks.
SMALL = dict(depth=Spec(1, 1, 1, (1, 1, 1)), channels=Widths(16, (64, 64, 64), 64))
VARIANTS = [
    dict(),
    dict(stem="imagenet", attention_learning="nal"),
    dict(attention="channel", unit="basic"),
    dict(attention="spatial", unit="resnext"),
    dict(mask="local", unit="inception"),
    dict(mask="none"),
]


def without_anchors(monkeypatch):
    monkeypatch.setattr(layers, "ANCHORS", {place: {} for place in layers.ANCHORS})


def digits(count, step=2):
    facts, image_set = catalog.describe_data("digits"), catalog.load_images("digits", None, "train")
    small = np.ascontiguousarray(image_set.images[:count, ::step, ::step])
    labels = image_set.labels[:count]
    return mx.nd.array(Transform(facts.mean, facts.std, 10)(small, labels)[0]), mx.nd.array(labels)


def train_steps(variant, make_graph, steps, frozen=(), fixed=False, step=2):
    """Return logits, gradients, weights and running statistics after a few steps on digits of 32 / `step` pixels."""
    mx.random.seed(1)
    net = build(NetworkSpec(10, **variant), **SMALL)
    net.initialize()
    net.hybridize(static_alloc=True, static_shape=True)
    if frozen:
        freeze(net, frozen)
    if fixed:
        fix_statistics(net)
    graph, loss = make_graph(net), mx.gluon.loss.SoftmaxCrossEntropyLoss()
    parameters = net._collect_params_with_prefix()
    learned = {name: parameter for name, parameter in parameters.items() if parameter.grad_req != "null"}
    trainer = mx.gluon.Trainer(list(learned.values()), "nag", dict(learning_rate=0.05, momentum=0.9, wd=1e-4))
    x, y = digits(8 * steps, step)
    for number in range(steps):
        part = slice(8 * number, 8 * number + 8)
        with mx.autograd.record():
            logits = graph(x[part])
            value = loss(logits, y[part])
        value.backward()
        trainer.step(8)
    wait_for_running_statistics()
    arrays = {"logits": logits, **{name: parameter.data() for name, parameter in parameters.items()}}
    arrays.update(("gradient of " + name, parameter.grad()) for name, parameter in learned.items())
    return {name: array.asnumpy() for name, array in arrays.items()}


@needs_avx512
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_fusing_changes_no_bit_in_bfloat16(variant, monkeypatch):
    # For 3x3 convolutions of one pixel, oneDNN's gradients in bfloat16 differ from call to call.
    fused = train_steps(variant, to_bfloat16, 2, step=1)
    monkeypatch.setattr(precision, "fuse_relu", lambda symbol: symbol)
    separate = train_steps(variant, to_bfloat16, 2, step=1)
    assert all((fused[name] == array).all() for name, array in separate.items())
    assert np.abs(separate["gradient of features.0.weight"]).max() > 0


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_a_fused_graph_trains_to_the_same_bits(variant, monkeypatch):
    without_anchors(monkeypatch)
    fused = []

    def make(net):
        fused.append(operators(to_float32(net))[FUSED])
        return to_float32(net)

    ours, own = (train_steps(variant, graph, 3) for graph in (make, lambda net: net))
    # In small groups or for odd numbers of channels, fewer layouts are certain.
    fewest = dict(resnext=1, inception=3).get(variant.get("unit"), 6)
    assert (fused[0] >= fewest) == is_exact()
    assert all((ours[name] == array).all() for name, array in own.items())
    assert np.abs(own["gradient of features.0.weight"]).max() > 0


def test_a_fused_graph_with_frozen_parts_trains_to_the_same_bits(monkeypatch):
    without_anchors(monkeypatch)
    ours, own = (train_steps({}, graph, 2, ("stem", "stage1")) for graph in (to_float32, lambda net: net))
    assert all((ours[name] == array).all() for name, array in own.items())


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_the_graph_of_a_step_computes_the_same(variant):
    """The anchors change the layout that normalisations and sums compute in, and with it the rounding.

    The statistics of a few small maps would enlarge the rounding from layer to layer, so they are fixed.
    """
    ours, own = (train_steps(variant, graph, 1, fixed=True) for graph in (to_float32, lambda net: net))
    for name, array in own.items():
        assert np.abs(ours[name] - array).max() <= 1e-4 * np.abs(array).max() + 1e-9, name


@pytest.mark.parametrize("widths", ["tiny", "thin"])
def test_narrow_layers_too(widths):
    """Layers of 4 to 12 channels, which no block of oneDNN's layouts holds, are not fused."""
    results = []
    for make in (lambda net: net, to_float32):
        net = initialised(build(NetworkSpec(10, widths=widths)))
        fix_statistics(net)
        graph, (x, y) = make(net), digits(4)
        with mx.autograd.record():
            loss = mx.gluon.loss.SoftmaxCrossEntropyLoss()(graph(x), y)
        loss.backward()
        learned = net._collect_params_with_prefix().items()
        results.append({name: p.grad().asnumpy() for name, p in learned if p.grad_req != "null"})
    for name, array in results[0].items():
        assert np.abs(results[1][name] - array).max() <= 1e-4 * np.abs(array).max() + 1e-9, name


def norm_and_relu(x):
    return mx.sym.Activation(mx.sym.BatchNorm(x, fix_gamma=False), act_type="relu")


def convolution(x, channels=16, groups=1):
    return mx.sym.Convolution(x, kernel=(3, 3), pad=(1, 1), num_filter=channels, num_group=groups, no_bias=True)


def fused_count(symbol):
    ops = [node["op"] for node in json.loads(fuse_all(symbol).tojson(remove_amp_cast=False))["nodes"]]
    assert ops.count(FUSED) + ops.count("BatchNorm") == symbol.tojson().count('"BatchNorm"')
    return ops.count(FUSED)


def test_what_is_fused():
    data = mx.sym.var("data")
    wide = convolution(data)
    assert fused_count(norm_and_relu(wide)) == 1
    assert fused_count(norm_and_relu(convolution(data, 16, 16))) == 1
    assert fused_count(norm_and_relu(mx.sym.Pooling(wide + convolution(data), kernel=(2, 2), stride=(2, 2)))) == 1
    assert fused_count(norm_and_relu(convolution(data, 64, 2))) == 1
    assert fused_count(mx.sym.Pooling(norm_and_relu(wide), kernel=(2, 2), stride=(2, 2))) == 1
    # The layout of these may be the plain one.
    assert fused_count(norm_and_relu(mx.sym.amp_cast(wide, dtype=BFLOAT16))) == 0
    assert fused_count(norm_and_relu(data)) == 0
    assert fused_count(norm_and_relu(wide * 2)) == 0
    assert fused_count(norm_and_relu(wide + data)) == 0
    assert fused_count(norm_and_relu(convolution(data, 24))) == 0
    assert fused_count(norm_and_relu(convolution(data, 16, 4))) == 0
    # The layout of the gradient depends on the batch.
    assert fused_count(mx.sym.Pooling(norm_and_relu(wide), kernel=(1, 1), global_pool=True)) == 0
    # The normalisation has another user, or is a result.
    norm = mx.sym.BatchNorm(wide, fix_gamma=False)
    assert fused_count(mx.sym.Activation(norm, act_type="relu") + norm) == 0
    assert fused_count(mx.sym.Group([mx.sym.Activation(norm, act_type="relu"), norm])) == 0
    assert fused_count(mx.sym.Activation(norm, act_type="sigmoid")) == 0


@pytest.mark.parametrize("place", sorted(layers.ANCHORS))
@pytest.mark.parametrize("kind, channels", [("float32", 24), ("bfloat16", 24), ("amx", 64)])
def test_anchors_are_the_identity(place, kind, channels):
    anchor = LayoutAnchor(place, channels)
    anchor.hybridize(static_alloc=True, static_shape=True)
    anchor.active = kind
    x, above = images(3, channels, 5, 7), images(3, channels, 5, 7, seed=3)
    x.attach_grad()
    with mx.autograd.record():
        y = anchor(x)
    y.backward(above)
    assert (y == x).asnumpy().all() and (x.grad == above).asnumpy().all()
    assert not list(anchor.collect_params())


needs_fusion = pytest.mark.skipif(not is_exact(), reason="without AVX2, normalisations are not fused")


@needs_fusion
def test_every_pair_of_a_wide_network_is_fused():
    """Between all normalisations and ReLUs of a network with anchors are blocked layouts, in both types.

    The gradient of the pooling of all pixels, after the last pair, has a layout that depends on the batch.
    """
    net = initialised(build(NetworkSpec(10, widths="thin")))
    plain = operators(net)
    for make in (to_float32, to_bfloat16):
        found = operators(make(net))
        assert found[FUSED] == plain["BatchNorm"] - 1 and found["BatchNorm"] == 1
        # ReLU is left in the interpolations only, as another operator; Activation is the masks' sigmoid and the last.
        assert found["Activation"] == 3 + 1
        # Two inner masks in stage 1 and one in stage 2; each of the three masks has two anchors more.
        assert found["Convolution"] == plain["Convolution"] + 3 + 3 + 3


@needs_fusion
def test_anchors_in_bfloat16_compute_in_bfloat16():
    net = initialised(build(NetworkSpec(10, widths="thin")))
    found = graph_types(to_bfloat16(net)(mx.sym.var("data")))
    # The stem and the normalisation after it are float32.
    assert (
        found[FUSED] == {2: 104, 4: 2}
        and found["BatchNorm"] == {2: 1}
        and found["Convolution"][4] == 1
        and set(found["Pooling"]) == {2}
    )
    assert set(found["_ones"]) == {4} and set(found["elemwise_add"]) == {2}


def test_the_network_itself_stays():
    net = initialised(build(NetworkSpec(10), **SMALL))
    names, plain = list(net.collect_params()), net(mx.sym.var("data")).tojson()
    for make, dtype in ((to_float32, "float32"), (to_bfloat16, "bfloat16")):
        graph = make(net)
        # Auxiliary states last, as in every symbol; the parameters are the network's own.
        assert {id(parameter) for parameter in graph.collect_params().values()} == {
            id(parameter) for parameter in net.collect_params().values()
        }
        assert compose(net, dtype).tojson() != plain
    assert list(net.collect_params()) == names and operators(net)[FUSED] == 0
    now = json.loads(net(mx.sym.var("data")).tojson())["nodes"]
    assert [node["op"] for node in now] == [node["op"] for node in json.loads(plain)["nodes"]]


@needs_fusion
def test_a_graph_is_made_when_it_is_first_used():
    net = initialised(build(NetworkSpec(10), **SMALL))
    graph = TrainingGraph(net, to_float32)
    freeze(net, ["stem"])
    graph(images(1, 3, 16, 16))
    block = graph.block
    symbol = json.loads(block(mx.sym.var("data")).tojson(remove_amp_cast=False))["nodes"]
    norms = [node["attrs"]["use_global_stats"] for node in symbol if node["op"] == FUSED]
    assert norms.count("True") == 1
    graph(images(2, 3, 16, 16))
    assert graph.block is block
    graph(images(2, 3, 24, 24))
    assert graph.block is not block


@pytest.mark.parametrize("isa, exact", [("SSE41", "False"), ("AVX2", "True")])
def test_fusion_is_tried_on_the_cpu_that_computes(isa, exact):
    """Convolutions of SSE 4.1 return plain layouts, with which the gradients of the fused operator are wrong."""
    if "avx2" not in usable_instructions():
        pytest.skip("this CPU has no AVX2")
    code = "from resattnet.models.fusion import is_exact; print(is_exact())"
    found = python(code, isa=isa)
    assert found.stdout.strip() == exact, found.stderr


def test_where_onednn_computes(monkeypatch):
    assert computes_with_onednn([mx.cpu()]) and not computes_with_onednn([mx.gpu(0)])
    for value, on in (("0", False), ("false", False), ("1", True)):
        monkeypatch.setenv("MXNET_MKLDNN_ENABLED", value)
        assert computes_with_onednn([mx.cpu()]) == on
