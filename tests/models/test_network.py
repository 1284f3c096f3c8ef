"""Test the networks against the published tables, in each execution mode, and as Gluon blocks."""

import contextlib
import hashlib
import io

import numpy as np
import pytest

import resattnet
from helpers.networks import difference, images, initialised, trainable
from helpers.tries import FULL
from resattnet.machine.mxnet import mx
from resattnet.models.attention import AttentionModule, Interpolation, SoftMask
from resattnet.models.spec import NetworkSpec, attention_net_spec, trunk_depth
from resattnet.models.units import Bottleneck, zero_init_residual
from resattnet.system.errors import InputError

CIFAR_PARAMETERS = {56: 7467370, 92: 12646506, 128: 13905770, 164: 17124970, 236: 23563370, 452: 43783274}
IMAGENET_PARAMETERS = {56: 31810728, 92: 52466344, 128: 57467048, 164: 70295208, 236: 95951528, 452: 176499368}
DEPTHS = list(CIFAR_PARAMETERS)


@pytest.mark.parametrize("depth", DEPTHS)
def test_parameters_of_cifar_networks(depth):
    assert trainable(resattnet.get_attention_cifar(10, depth)) == CIFAR_PARAMETERS[depth]


@pytest.mark.parametrize("depth", DEPTHS)
def test_parameters_of_imagenet_networks(depth):
    assert trainable(resattnet.get_attention_net(1000, depth)) == IMAGENET_PARAMETERS[depth]


def test_thin_networks_have_about_the_papers_size():
    """Parameter counts are near the paper's: 1.9M for depth 92 with equal modules per stage, and 5.1M for depth 236."""
    from resattnet.models.network import build

    equal = attention_net_spec[92]._replace(modules=(2, 2, 2))
    assert trainable(build(NetworkSpec(10, 92, widths="thin"), depth=equal)) == pytest.approx(1.9e6, rel=0.07)
    assert trainable(resattnet.get_attention_cifar(10, 236, widths="thin")) == pytest.approx(5.1e6, rel=0.04)


@pytest.mark.parametrize("depth", DEPTHS)
def test_trunk_depth_is_the_key(depth):
    """The depth is the number of weighted layers of a built network, excluding masks and shortcuts."""
    net = resattnet.get_attention_cifar(10, depth)
    layers = 2  # first convolution and dense layer
    for block in net.features._children.values():
        if isinstance(block, Bottleneck):
            layers += 3
        elif isinstance(block, AttentionModule):
            layers += 3 * sum(len(part) for part in (block.first, block.trunk, block.last))
    assert layers == depth == trunk_depth(depth)


@pytest.mark.parametrize(
    "build, side, depth",
    [(resattnet.get_attention_cifar, 32, depth) for depth in (DEPTHS if FULL else (56, 92, 452))]
    + [(resattnet.get_attention_net, 64, depth) for depth in ((56, 92) if FULL else (56,))],
)
def test_forward_and_backward(build, side, depth):
    """`make fuzz` takes the other depths too, which take the same ways."""
    net = initialised(build(7, depth))
    x = images(2, 3, side, side)
    with mx.autograd.record():
        loss = mx.gluon.loss.SoftmaxCrossEntropyLoss()(net(x), mx.nd.array([0, 6]))
    loss.backward()
    gradients = [p.grad() for p in net.collect_params().values() if p.grad_req != "null"]
    assert np.isfinite(loss.asnumpy()).all()
    assert all(np.isfinite(g.asnumpy()).all() for g in gradients)
    assert all(float(g.abs().sum().asscalar()) > 0 for g in gradients if g.ndim == 4)


@pytest.fixture(scope="module")
def of_both_stems():
    return initialised(resattnet.get_attention_cifar(10, 56, widths="thin")), initialised(resattnet.attention_net56(10))


@pytest.mark.parametrize("size", [(32, 32), (48, 48), (96, 96), (224, 224), (320, 320), (100, 75)])
@pytest.mark.isa
def test_any_input_size(size, of_both_stems):
    for net in of_both_stems:
        assert net(images(1, 3, *size)).shape == (1, 10)


@pytest.mark.parametrize("learning", ["arl", "nal"])
@pytest.mark.isa
def test_hybridised_equals_imperative(learning):
    net = initialised(resattnet.get_attention_cifar(10, 56, widths="thin", attention_learning=learning))
    x = images(3, 3, 32, 32)
    imperative = net(x)
    net.hybridize(static_alloc=True, static_shape=True)
    assert difference(net(x), imperative) < 1e-5
    assert (
        difference(
            net(images(2, 3, 40, 40)),
            initialised(resattnet.get_attention_cifar(10, 56, widths="thin", attention_learning=learning))(
                images(2, 3, 40, 40)
            ),
        )
        < 1e-5
    )


class ZeroMask(SoftMask):
    def hybrid_forward(self, F, x):
        return F.zeros_like(x)


@pytest.mark.parametrize("learning", ["arl", "nal"])
@pytest.mark.isa
def test_zero_mask_gives_the_trunk_under_arl_and_nothing_under_nal(learning):
    module = AttentionModule(16, 2, 1, 2, 1, learning)
    module.mask = ZeroMask(16, 2, 1)
    initialised(module)
    x = images(2, 16, 9, 7)
    first = module.first(x)
    expected = module.trunk(first) if learning == "arl" else mx.nd.zeros_like(first)
    assert difference(module(x), module.last(expected)) == 0


def test_the_mask_is_in_0_1_and_does_not_see_the_trunk():
    module = initialised(AttentionModule(16, 3, 1, 2, 1))
    x = images(2, 16, 13, 10)
    mask = module.mask(x)
    assert mask.shape == x.shape and 0 < mask.min().asscalar() and mask.max().asscalar() < 1
    first = module.first(x)
    y = (1 + module.mask(first)) * module.trunk(first)
    assert difference(module(x), module.last(y)) < 1e-6


def pooled(x):
    """Compute 3x3 max pooling with stride 2 and padding 1 in NumPy."""
    height, width = ((side + 1) // 2 for side in x.shape[2:])
    padded = np.pad(x, ((0, 0), (0, 0), (1, 2), (1, 2)), constant_values=-np.inf)
    return np.array(
        [
            [padded[..., 2 * i : 2 * i + 3, 2 * j : 2 * j + 3].max(axis=(2, 3)) for j in range(width)]
            for i in range(height)
        ]
    ).transpose(2, 3, 0, 1)


def interpolated(x, size):
    """Compute bilinear interpolation with aligned corners in NumPy."""
    rows, columns = (
        np.maximum(0, 1 - abs(np.linspace(0, small - 1, large)[:, None] - np.arange(small)))
        for small, large in zip(x.shape[2:], size)
    )
    return np.einsum("ih,nchw,jw->ncij", rows, x, columns)


def through(units, x, count):
    """Apply the `count` units of a network to an array."""
    assert len(units._children) == count
    return units(mx.nd.array(x)).asnumpy()


def hourglass_by_definition(hourglass, x, levels, r, sampling):
    """Compute the hourglass step by step. Only the units come from the network."""
    y = through(hourglass.down, pooled(x) if sampling else x, r)
    if levels > 1:
        y = through(hourglass.skip, y, 1) + hourglass_by_definition(hourglass.inner, y, levels - 1, r, sampling)
    y = through(hourglass.up, y, r)
    return interpolated(y, x.shape[2:]) if sampling else y


@pytest.mark.parametrize("levels, size", [(1, (6, 5)), (2, (7, 6)), (3, (9, 5))])
@pytest.mark.parametrize("sampling", [True, False])
@pytest.mark.isa
def test_the_mask_against_its_definition(levels, size, sampling):
    """The mask equals one with pooling, sums and interpolation in NumPy. Without sampling, it is the local mask."""
    mask = initialised(SoftMask(8, levels, 2, sampling=sampling))
    x = images(2, 8, *size)
    y = mx.nd.array(hourglass_by_definition(mask.hourglass, x.asnumpy(), levels, 2, sampling))
    y = mask.conv1(mx.nd.relu(mask.bn1(y)))
    y = mx.nd.sigmoid(mask.conv2(mx.nd.relu(mask.bn2(y))))
    assert difference(mask(x), y) < 1e-5


@pytest.mark.parametrize(
    "small, large",
    [((4, 4), (8, 8)), ((7, 5), (13, 10)), ((1, 1), (2, 3)), ((3, 1), (5, 1)), ((1, 1), (1, 1)), ((28, 28), (56, 56))],
)
@pytest.mark.parametrize("hybrid", [False, True])
@pytest.mark.isa
def test_interpolation_equals_mxnets_with_aligned_corners(small, large, hybrid):
    block, x, like = Interpolation(), images(2, 3, *small), mx.nd.zeros((2, 3) + large)
    if hybrid:
        block.hybridize(static_alloc=True, static_shape=True)
    results = []
    for form in (block, lambda x, like: mx.nd.contrib.BilinearResize2D(x, like, mode="like")):
        x.attach_grad()
        with mx.autograd.record():
            y = form(x, like)
        y.backward(images(2, 3, *large, seed=4))
        results.append((y, x.grad.copy()))
    assert difference(results[0][0], results[1][0]) < 1e-5 and difference(results[0][1], results[1][1]) < 1e-4


@pytest.mark.isa
def test_gradients_are_the_same_bit_for_bit_every_time():
    net = initialised(resattnet.get_attention_cifar(10, 56, widths="thin"))
    net.hybridize(static_alloc=True, static_shape=True)
    x, y = images(16, 3, 32, 32), mx.nd.arange(16) % 10
    runs = []
    for _ in range(4):
        with mx.autograd.record():
            loss = mx.gluon.loss.SoftmaxCrossEntropyLoss()(net(x), y)
        loss.backward()
        runs.append([p.grad().asnumpy() for p in net.collect_params().values() if p.grad_req != "null"])
    assert all((a == b).all() for run in runs[1:] for a, b in zip(runs[0], run))


@pytest.mark.isa
def test_gradient_of_an_attention_module_against_differences():
    module = initialised(AttentionModule(8, 2, 1, 1, 1))
    x, direction = images(1, 8, 7, 6), images(1, 8, 7, 6, seed=3)
    x.attach_grad()
    with mx.autograd.record(train_mode=False):
        y = (module(x) ** 2).sum()
    y.backward()
    step = 1e-2
    slope = ((module(x + step * direction) ** 2).sum() - (module(x - step * direction) ** 2).sum()) / (2 * step)
    assert float((x.grad * direction).sum().asscalar()) == pytest.approx(float(slope.asscalar()), rel=2e-2)


@pytest.mark.parametrize("build", [resattnet.get_attention_cifar, resattnet.get_attention_net])
@pytest.mark.isa
def test_symbol_exported_and_imported_gives_the_same(tmp_path, build):
    net = initialised(build(10, 56))
    net.hybridize()
    x = images(2, 3, 32, 32)
    expected = net(x)
    net.export(str(tmp_path / "net"))
    again = mx.gluon.SymbolBlock.imports(str(tmp_path / "net-symbol.json"), ["data"], str(tmp_path / "net-0000.params"))
    assert difference(again(x), expected) < 1e-5
    assert again(images(1, 3, 48, 40)).shape == (1, 10)


def test_default_initialiser_is_msra_prelu():
    net = resattnet.get_attention_cifar(10, 56)
    net.initialize()
    weight = net.features[3].conv2.weight.data().asnumpy()
    out_channels, in_channels = weight.shape[:2]
    fan = 9 * (in_channels + out_channels) / 2
    assert weight.std() == pytest.approx(np.sqrt(2 / (1 + 0.25**2) / fan), rel=0.05)


def test_named_builders():
    for depth in DEPTHS:
        builder = getattr(resattnet, f"attention_net{depth}")
        assert builder.__name__ == f"attention_net{depth}"
    assert trainable(resattnet.attention_net92(1000)) == IMAGENET_PARAMETERS[92]
    with pytest.raises(AttributeError):
        _ = resattnet.attention_net57


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: resattnet.get_attention_cifar(10, 50), "50: choose from 56, 92, 128, 164, 236, 452"),
        (lambda: resattnet.get_attention_net(10, 57), "57: choose from 56, 92, 128, 164, 236, 452"),
        (lambda: resattnet.get_attention_cifar(10, 56, widths="wide"), "wide: choose from full, thin, tiny"),
        (lambda: resattnet.get_attention_cifar(0, 56), "classes=0: give a number of at least 1"),
        (
            lambda: resattnet.get_attention_cifar(10, 56, attention_learning="x"),
            "attention_learning=x: choose from arl, nal",
        ),
    ],
)
def test_wrong_arguments_name_the_choices(call, message):
    with pytest.raises(InputError, match=message):
        call()


def units_of(net):
    found = []
    net.apply(lambda block: found.append(block) if isinstance(block, Bottleneck) else None)
    return found


def test_zero_gamma_starts_each_unit_as_its_shortcut_and_lets_it_learn():
    """Last convolutions have gradients at step 0. The others have gradients once the last convolutions are nonzero."""
    net = initialised(resattnet.get_attention_cifar(10, 56, "thin"))
    zero_init_residual(net)
    units = units_of(net)
    assert len(units) == 33
    x = images(2, units[1].conv1.weight.shape[1], 4, 4)
    plain = next(unit for unit in units[1:] if unit.projection is None)
    assert (plain(x) == x).asnumpy().all()
    trainer = mx.gluon.Trainer(
        [p for p in net.collect_params().values() if p.grad_req != "null"],
        "nag",
        dict(learning_rate=0.05, momentum=0.9),
    )
    x, y, losses = images(8, 3, 16, 16), mx.nd.arange(8), []
    for step in range(12):
        with mx.autograd.record():
            loss = mx.gluon.loss.SoftmaxCrossEntropyLoss()(net(x), y).mean()
        loss.backward()
        last, inner = (
            [float(getattr(unit, name).weight.grad().norm().asscalar()) for unit in units]
            for name in ("conv3", "conv1")
        )
        if step == 0:
            assert min(last) > 0 and max(inner) == 0
        elif step == 2:
            assert min(last) > 0 and min(inner) > 0
        trainer.step(1)
        losses.append(float(loss.asscalar()))
    assert losses[-1] < 0.5 * losses[0]


def test_a_gamma_of_zero_within_a_pre_activation_unit_would_stop_its_branch_for_good():
    """ReLU has no gradient at 0, so `zero_init_branch` sets the last weight to 0 instead of gamma."""
    unit = Bottleneck(16, 16)
    unit.initialize(mx.init.MSRAPrelu())
    unit.bn3.gamma.set_data(mx.nd.zeros((4,)))
    with mx.autograd.record():
        loss = (unit(images(2, 16, 4, 4)) ** 2).sum()
    loss.backward()
    assert all(abs(p.grad().asnumpy()).max() == 0 for p in unit.collect_params().values() if p.grad_req != "null")


# Gluon's conventions


@pytest.mark.parametrize("builder", [resattnet.get_attention_cifar, resattnet.get_attention_net])
def test_every_parameter_has_the_networks_prefix(builder):
    net = builder(10, 56, prefix="foo_")
    assert net.prefix == "foo_" and all(name.startswith("foo_") for name in net.collect_params())
    other = builder(10, 56)
    assert all(name.startswith(other.prefix) for name in other.collect_params())


def test_parameters_saved_without_the_prefix_are_loaded_by_another_network(tmp_path):
    first = initialised(resattnet.get_attention_cifar(10, 56, widths="thin", prefix="foo_"))
    second = resattnet.get_attention_cifar(10, 56, widths="thin", prefix="bar_")
    path = str(tmp_path / "net.params")
    first.collect_params().save(path, strip_prefix=first.prefix)
    second.collect_params().load(path, restore_prefix=second.prefix)
    x = images(2, 3, 32, 32)
    assert difference(first(x), second(x)) == 0


def test_two_networks_share_parameters():
    first = initialised(resattnet.get_attention_cifar(10, 56, widths="thin", prefix="shared_"))
    second = resattnet.get_attention_cifar(10, 56, widths="thin", prefix="shared_", params=first.collect_params())
    x = images(2, 3, 32, 32)
    assert difference(first(x), second(x)) == 0
    first.output.bias.set_data(first.output.bias.data() + 1)
    assert difference(first(x), second(x)) == 0
    assert second.features[0].weight is first.features[0].weight


@pytest.mark.parametrize(
    "variant",
    [
        dict(),
        dict(attention_learning="nal"),
        dict(attention="channel"),
        dict(attention="spatial"),
        dict(mask="local"),
        dict(mask="none"),
    ],
    ids=str,
)
@pytest.mark.parametrize("builder, side", [(resattnet.get_attention_cifar, 32), (resattnet.get_attention_net, 64)])
def test_mxnet_prints_and_plots_a_network(builder, side, variant):
    net = builder(10, 56, **variant)
    symbol, shape = net(mx.sym.var("data")), {"data": (1, 3, side, side)}
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        mx.viz.print_summary(symbol, shape=shape)
    assert f"Total params: {trainable(net)}\n" in printed.getvalue()
    pytest.importorskip("graphviz", reason="graphviz is not installed: pip install graphviz")
    plotted = mx.viz.plot_network(symbol, shape=shape)
    assert plotted.source.count('label="Convolution') == symbol.tojson().count('"op": "Convolution"')


# Files from earlier versions


@pytest.mark.parametrize(
    "build, digest",
    [
        (
            lambda: resattnet.get_attention_cifar(10, 56, widths="thin"),
            "45ed2ed0faa19e3f7d5d77eb955c85469dcca569880b9895a1b6b0cf4360a5bf",
        ),
        (
            lambda: resattnet.get_attention_net(1000, 92),
            "8c3a07ded9200098e21ccff31561bc147f0844a7839b97723c39ff9099bc372f",
        ),
    ],
)
def test_names_and_shapes_in_parameter_files_are_those_of_earlier_versions(build, digest):
    """Digests predate the network's prefix on the stem. A change of digest makes every saved file unreadable."""
    parameters = build()._collect_params_with_prefix()
    lines = sorted(f"{name} {tuple(parameter.shape)}" for name, parameter in parameters.items())
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest() == digest


@pytest.mark.parametrize(
    "description, spec",
    [
        (  # from before attention types and masks
            dict(num_layers=92, widths="thin", classes=100, attention_learning="nal"),
            NetworkSpec(100, 92, widths="thin", attention_learning="nal"),
        ),
        (
            dict(num_layers=56, widths="full", classes=10, attention_learning="arl", attention="spatial", mask="local"),
            NetworkSpec(10, 56, attention="spatial", mask="local"),
        ),
        (dict(num_layers=56, widths="full", classes=10), NetworkSpec(10)),
    ],
)
def test_descriptions_of_earlier_versions(description, spec):
    found = NetworkSpec.from_dict(description)
    assert found == spec
    assert (found.stem, found.unit, found.stage_strides) == ("cifar", "bottleneck", (1, 2, 2))
    assert NetworkSpec.from_dict(found.to_dict()) == found


@pytest.mark.parametrize(
    "description, message",
    [
        (dict(classes=10, depth=56), "the network has depth, which this version of resattnet does not know"),
        (dict(num_layers=56), "the network has no number of classes"),
        (dict(classes=10, stem="x"), "stem=x: choose from cifar, imagenet"),
        (dict(classes=10, unit="x"), "unit=x: choose from bottleneck, resnext, inception, basic"),
    ],
)
def test_descriptions_that_name_no_network(description, message):
    with pytest.raises(InputError, match=message):
        NetworkSpec.from_dict(description)
