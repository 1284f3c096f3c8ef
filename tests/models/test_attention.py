"""Test the attention types and masks against their formulas, and networks that use them in each execution mode."""

import dataclasses
import json

import numpy as np
import pytest

import resattnet
from helpers.networks import change_description, difference, graph_types, images, initialised, needs_avx512, trainable
from helpers.runs import resume
from resattnet.commands.training_run import train
from resattnet.evaluation.evaluate import evaluate_files
from resattnet.evaluation.options import TestOptions as Testing
from resattnet.machine.mxnet import mx
from resattnet.models.attention import AttentionModule, Hourglass, Interpolation, SoftMask
from resattnet.models.attention_types import EPSILON
from resattnet.models.graphs import fuse
from resattnet.models.layers import LayoutAnchor
from resattnet.models.precision import to_bfloat16
from resattnet.models.spec import ATTENTION, MASKS
from resattnet.models.units import Bottleneck
from resattnet.run_options.options import TrainingOptions
from resattnet.system.errors import InputError
from resattnet.zoo.parameters import load_parameters

VARIANTS = [
    dict(attention="channel"),
    dict(attention="spatial"),
    dict(mask="local"),
    dict(mask="none"),
    dict(attention="spatial", attention_learning="nal", mask="local"),
]


def thin(classes=10, **variant):
    return resattnet.get_attention_cifar(classes, 56, widths="thin", **variant)


def blocks_of(net):
    """Return all blocks of a network, including nested blocks."""
    blocks = []
    net.apply(blocks.append)
    return blocks


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


FORMULAS = {
    "mixed": sigmoid,
    "channel": lambda x: x / np.sqrt((x**2).sum(axis=1, keepdims=True) + EPSILON),
    "spatial": lambda x: sigmoid(
        (x - x.mean(axis=(2, 3), keepdims=True)) / np.sqrt(x.var(axis=(2, 3), keepdims=True) + EPSILON)
    ),
}


@pytest.mark.parametrize("attention", ATTENTION)
@pytest.mark.isa
def test_types_against_their_formulas(attention):
    x = images(2, 5, 4, 3) * 3 + 1
    assert np.abs(ATTENTION[attention](mx.nd, x).asnumpy() - FORMULAS[attention](x.asnumpy())).max() < 1e-6
    mask = initialised(SoftMask(8, 1, 1, attention))
    inner = mask.conv2(mx.nd.relu(mask.bn2(mask.conv1(mx.nd.relu(mask.bn1(mask.hourglass(images(2, 8, 6, 5))))))))
    assert np.abs(mask(images(2, 8, 6, 5)).asnumpy() - FORMULAS[attention](inner.asnumpy())).max() < 1e-6


def test_invariants_of_the_attention_types():
    """Channel attention has unit norm at each position. Spatial attention ignores the mean and scale of a map."""
    x = images(2, 64, 7, 5)
    assert np.abs((ATTENTION["channel"](mx.nd, x).asnumpy() ** 2).sum(axis=1) - 1).max() < 1e-5
    spatial = ATTENTION["spatial"]
    assert difference(spatial(mx.nd, x), spatial(mx.nd, 5 * x + 100)) < 1e-4
    assert difference(spatial(mx.nd, mx.nd.ones((1, 2, 3, 3))), mx.nd.full((1, 2, 3, 3), 0.5)) == 0


@pytest.mark.parametrize("attention", ATTENTION)
@pytest.mark.isa
def test_gradients_of_the_types_against_differences(attention):
    x, weights, direction = images(1, 3, 4, 5), images(1, 3, 4, 5, seed=3), images(1, 3, 4, 5, seed=4)
    x.attach_grad()
    with mx.autograd.record():
        y = (ATTENTION[attention](mx.nd, x) * weights).sum()
    y.backward()
    step, formula = 1e-4, FORMULAS[attention]
    ahead, behind = (
        (formula(x.asnumpy().astype(float) + side * step * direction.asnumpy()) * weights.asnumpy()).sum()
        for side in (1, -1)
    )
    assert float((x.grad * direction).sum().asscalar()) == pytest.approx((ahead - behind) / (2 * step), rel=1e-3)


@pytest.mark.parametrize("attention", ATTENTION)
@pytest.mark.parametrize("value", [0, 3])
def test_maps_of_one_value_have_finite_gradients(attention, value):
    x = mx.nd.full((2, 4, 3, 3), value)
    x.attach_grad()
    with mx.autograd.record():
        y = ATTENTION[attention](mx.nd, x)
    y.backward(images(*x.shape))
    assert np.isfinite(y.asnumpy()).all() and np.isfinite(x.grad.asnumpy()).all()


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_network_of_zeros_has_finite_gradients(variant):
    net = thin(**variant)
    net.initialize(mx.init.Zero())
    with mx.autograd.record():
        loss = mx.gluon.loss.SoftmaxCrossEntropyLoss()(net(images(2, 3, 16, 16)), mx.nd.array([0, 1]))
    loss.backward()
    assert all(np.isfinite(p.grad().asnumpy()).all() for p in net.collect_params().values() if p.grad_req != "null")


@pytest.mark.isa
def test_the_local_mask_is_the_hourglass_without_sampling():
    """The local mask equals its three levels computed step by step. Only the units come from the hourglass."""
    local = initialised(Hourglass(8, 3, 2, sampling=False))
    assert not any(isinstance(block, (mx.gluon.nn.MaxPool2D, Interpolation)) for block in blocks_of(local))
    x = images(1, 8, 6, 5)
    outer = local.down(x)
    middle = local.inner.down(outer)
    inmost = local.inner.inner.up(local.inner.inner.down(middle))
    middle = local.inner.up(local.inner.skip(middle) + inmost)
    assert difference(local(x), local.up(local.skip(outer) + middle)) < 1e-5


@pytest.mark.parametrize("depth", [56, 452])
@pytest.mark.parametrize("build", [resattnet.get_attention_cifar, resattnet.get_attention_net])
def test_parameters_of_the_variants(build, depth):
    """Attention types and the local mask keep the parameter count. Without masks, only mask parameters are absent."""
    nets = {
        variant: build(10, depth, **dict([variant]))
        for variant in [("attention", name) for name in ATTENTION] + [("mask", name) for name in MASKS]
    }
    whole = nets["mask", "hourglass"]
    masks = sum(trainable(block.mask) for block in whole.features if isinstance(block, AttentionModule))
    counts = {variant: trainable(net) for variant, net in nets.items()}
    assert counts.pop(("mask", "none")) == trainable(whole) - masks < trainable(whole)
    assert set(counts.values()) == {trainable(whole)}


def test_parameters_without_masks_in_closed_form():
    """The count at full CIFAR width sums stem, entry units, 4 units in each of the 3 modules, tail and dense layer."""

    def unit(inputs, outputs, projection=False):
        inner = outputs // 4
        weights = inputs * inner + 9 * inner * inner + inner * outputs + projection * inputs * outputs
        return weights + 2 * (inputs + 2 * inner)  # each normalisation has two parameters per channel

    expected, channels = 27 * 32 + 2 * 32, 32
    for width in (128, 256, 512):
        expected, channels = expected + unit(channels, width, True) + 4 * unit(width, width), width
    expected += unit(512, 1024, True) + 2 * unit(1024, 1024) + 2 * 1024 + 1024 * 10 + 10
    assert trainable(resattnet.get_attention_cifar(10, 56, mask="none")) == expected


def test_a_module_without_mask_is_its_units_in_a_row():
    module = initialised(AttentionModule(16, 2, 1, 2, 1, mask="none"))
    x = images(2, 16, 9, 7)
    assert difference(module(x), module.last(module.trunk(module.first(x)))) == 0
    assert sum(isinstance(block, Bottleneck) for block in blocks_of(module)) == 4
    assert not any(isinstance(block, LayoutAnchor) for block in blocks_of(module))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.isa
def test_any_size_hybridised_as_imperative(variant):
    net, given = initialised(thin(**variant)), [images(2, 3, *size) for size in ((32, 32), (100, 75), (7, 5))]
    expected = [net(x) for x in given]
    assert {logits.shape for logits in expected} == {(2, 10)}
    assert difference(fuse(net)(given[-1]), expected[-1]) < 1e-4
    net.hybridize(static_alloc=True, static_shape=True)
    for x, logits in zip(given, expected):
        assert difference(net(x), logits) < 1e-5
    wide = initialised(resattnet.get_attention_net(10, 56, widths="tiny", **variant))
    assert wide(images(1, 3, 64, 48)).shape == (1, 10)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.isa
def test_what_is_bfloat16_in_the_graphs(variant):
    net = initialised(thin(**variant))
    found = graph_types(to_bfloat16(net)(mx.sym.var("data")))
    assert set(found["Convolution"]) == {2, 4} and found["Convolution"][4] == 1
    assert set(found["square"]) <= {4} and set(found["mean"]) <= {4} and set(found["elemwise_add"]) == {2}
    assert ("dot" in found) == (variant.get("mask", "hourglass") == "hourglass")


@needs_avx512
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.isa
def test_the_bfloat16_graphs_compute_the_same(variant):
    net = initialised(thin(**variant))
    graph, x, y = to_bfloat16(net), images(8, 3, 32, 32), mx.nd.arange(8)
    results = []
    for block in (net, graph):
        with mx.autograd.record():
            logits = block(x)
            mx.gluon.loss.SoftmaxCrossEntropyLoss()(logits, y).backward()
        results.append([logits.asnumpy(), net.output.weight.grad().asnumpy()])
    for ours, other in zip(*results):
        assert 0 < np.abs(ours - other).max() and np.corrcoef(ours.ravel(), other.ravel())[0, 1] > 0.9


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: thin(attention="x"), "attention=x: choose from mixed, channel, spatial"),
        (lambda: thin(mask="x"), "mask=x: choose from hourglass, local, none"),
        (
            lambda: thin(mask="none", attention="channel"),
            "mask=none: there is no mask for attention_learning=arl attention=channel to act on",
        ),
        (lambda: TrainingOptions(attention="x"), "^attention=x: choose from mixed, channel, spatial"),
        (lambda: Testing(mask="x"), "^mask=x: choose from hourglass, local, none"),
        (lambda: TrainingOptions(mask="none", attention="spatial"), "^mask=none attention=spatial: there is no mask"),
        (
            lambda: TrainingOptions(mask="none", attention_learning="nal"),
            "^mask=none attention_learning=nal: there is no",
        ),
    ],
)
def test_wrong_arguments_say_what_to_do(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_titles_say_what_is_special():
    assert TrainingOptions(attention="spatial", mask="local").title == "cifar10_attention56_spatial_mask-local"
    assert TrainingOptions(mask="none").title == "cifar10_attention56_mask-none"
    assert TrainingOptions().title == "cifar10_attention56"


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_run_is_tested_and_resumed(options, variant):
    options = dataclasses.replace(options, epochs=1, **variant)
    run = train(options)
    path = run.folder + "/best.params"
    with open(run.folder + "/best.json") as handle:
        description = json.load(handle)
    assert {name: description["network"][name] for name in variant} == variant
    evaluation = evaluate_files([path], Testing(num_gpus=0))[0].evaluation
    assert evaluation.top1 == description["validation_top1"]
    again = resume(options, epochs=2)
    assert {name: getattr(again.step.net.spec, name) for name in variant} == variant


def test_networks_described_before_there_were_variants(options):
    """Missing attention and mask keys mean mixed and hourglass: earlier versions' descriptions and states lack them."""
    run = train(dataclasses.replace(options, epochs=1))
    with open(run.folder + "/best.json") as handle:
        description = json.load(handle)
    for name in ("attention", "mask"):
        assert description["network"].pop(name) == getattr(options, name)
    change_description(run.folder + "/best.json", network=description["network"])
    evaluation = evaluate_files([run.folder + "/best.params"], Testing(num_gpus=0))[0].evaluation
    assert evaluation.top1 == description["validation_top1"]
    before = {name: value for name, value in dataclasses.asdict(options).items() if name not in ("attention", "mask")}
    assert TrainingOptions(**before) == options


def test_parameters_without_masks_name_the_network_they_fit(tmp_path):
    net = initialised(thin(mask="none"))
    net.save_parameters(str(tmp_path / "none.params"))
    with pytest.raises(InputError, match="it fits num_layers=56 widths=thin mask=none and 10 classes"):
        load_parameters(thin(), str(tmp_path / "none.params"), [mx.cpu()])
