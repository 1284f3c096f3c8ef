"""Test that a specification gives the same network in PyTorch as in Gluon: logits, masks, gradients, statistics."""

import subprocess
import sys

import numpy as np
import pytest

from helpers.networks import initialised
from helpers.scripts import ROOT
from helpers.torch_nets import import_torch, noise, twin, use_few_channels
from resattnet.machine.mxnet import mx
from resattnet.models import attention_types, network, units
from resattnet.models.attention_maps import ARRAYS
from resattnet.models.spec import UNITS, NetworkSpec
from resattnet.prediction import masks
from resattnet.prediction.masks import soft_masks
from resattnet.torch.names import torch_name

torch = import_torch()

from resattnet.torch import attention as torch_attention  # noqa: E402  # imports PyTorch
from resattnet.torch import build, layers, zero_init_residual  # noqa: E402
from resattnet.torch import units as torch_units  # noqa: E402
from resattnet.torch.maps import attention_maps, grad_cam  # noqa: E402

VARIANTS = [
    dict(),
    dict(unit="basic"),
    dict(unit="resnext"),
    dict(unit="inception"),
    dict(stem="imagenet"),
    dict(attention="channel"),
    dict(attention="spatial"),
    dict(mask="local"),
    dict(mask="none"),
    dict(attention_learning="nal"),
    dict(unit="resnext", attention="spatial", attention_learning="nal", stage_strides=(2, 1, 2)),
]


@pytest.fixture(autouse=True, scope="module")
def few_channels():
    with pytest.MonkeyPatch.context() as patch:
        use_few_channels(patch)
        yield


def make(num_layers=56, **fields):
    """Return a Gluon network with random weights and statistics."""
    return initialised(network.build(NetworkSpec(10, num_layers, widths="tiny", **fields)))


@pytest.fixture(scope="module", params=VARIANTS, ids=lambda fields: "-".join(map(str, fields.values())) or "default")
def net(request):
    return make(**request.param)


def assert_close(ours, theirs, tolerance, name=""):
    """Assert that arrays differ by less than a part of the largest number; 1e-12 is a rounding error of any number."""
    assert ours.shape == theirs.shape, name
    assert np.abs(ours - theirs).max() <= tolerance * np.abs(ours).max() + 1e-12, name


def test_logits_and_masks_are_those_of_gluon(net):
    rival = twin(net)
    images = noise(3, 3, *((64, 40) if net.spec.stem == "imagenet" else (21, 32)))
    with torch.no_grad():
        logits, masks = rival(torch.from_numpy(images), return_masks=True)
        assert torch.equal(logits, rival(torch.from_numpy(images)))
    ours = net(mx.nd.array(images)).asnumpy()
    assert np.abs(ours).max() > 0.1
    assert_close(ours, logits.numpy(), 1e-5)
    if net.spec.mask == "none":
        assert masks == [] == attention_maps(rival, images)
        return
    expected = soft_masks(net, images)
    assert len(masks) == len(expected) == 3
    for mask, maps in zip(masks, expected):
        assert np.ptp(maps.mask) > 1e-3
        assert_close(maps.mask, mask.numpy(), 1e-4)
    for maps, theirs in zip(expected, attention_maps(rival, images)):
        assert maps[:3] == theirs[:3]
        for name in ARRAYS:
            assert_close(getattr(maps, name), getattr(theirs, name), 1e-4, name)


def test_grad_cam_is_that_of_gluon(net):
    images = noise(3, 3, *((64, 40) if net.spec.stem == "imagenet" else (21, 32)))
    ours = masks.grad_cam(net, images)
    assert ours.max() > 0
    assert_close(ours, grad_cam(twin(net), images), 1e-4)


def test_gradients_and_running_statistics_are_those_of_gluon(net):
    """In float64, since in float32 the rounding of the statistics turns some ReLUs on or off.

    Gluon has the weights of the interpolation and the running statistics in float32 all the same. The weights are exact
    for maps of 17, 9, 5, 3 and 2 pixels, as these images have.
    """
    rival = twin(net)
    net.cast("float64")
    side = 65 if net.spec.stem == "imagenet" else 17
    images, labels = noise(4, 3, side, side).astype(np.float64), np.arange(4)
    with mx.autograd.record():
        outputs = net(mx.nd.array(images, dtype="float64"))
        loss = mx.gluon.loss.SoftmaxCrossEntropyLoss()(outputs, mx.nd.array(labels, dtype="float64")).mean()
    loss.backward()
    mx.nd.waitall()
    rival = rival.double().train()
    their_loss = torch.nn.functional.cross_entropy(rival(torch.from_numpy(images)), torch.from_numpy(labels))
    their_loss.backward()
    assert float(loss.asscalar()) == pytest.approx(their_loss.item(), rel=1e-9)
    gradients = {name: parameter.grad.numpy() for name, parameter in rival.named_parameters()}
    statistics = {name: buffer.numpy() for name, buffer in rival.named_buffers() if "running" in name}
    for name, parameter in net._collect_params_with_prefix().items():
        if parameter.grad_req == "null":
            assert_close(parameter.data().asnumpy(), statistics.pop(torch_name(name)), 2e-6, name)
        else:
            assert_close(parameter.grad().asnumpy(), gradients.pop(torch_name(name)), 1e-8, name)
    assert not gradients and not statistics
    net.cast("float32")


@pytest.mark.parametrize("depth", [92, pytest.param(236, marks=pytest.mark.slow)])
def test_logits_of_deeper_networks(depth):
    net = make(depth, attention_learning="nal")
    for parameter in net.collect_params(".*conv.*_weight").values():  # logits of 1e15 are all rounding error
        parameter.set_data(parameter.data() / 2)
    rival, images = twin(net), noise(2, 3, 16, 16)
    with torch.no_grad():
        assert_close(net(mx.nd.array(images)).asnumpy(), rival(torch.from_numpy(images)).numpy(), 1e-5)


@pytest.mark.parametrize(
    "depth, stem",
    [
        (128, "imagenet"),
        (164, "cifar"),
        pytest.param(236, "cifar", marks=pytest.mark.slow),
        pytest.param(452, "cifar", marks=pytest.mark.slow),
    ],
)
def test_names_and_shapes_of_every_depth(depth, stem):
    spec = NetworkSpec(7, depth, stem=stem, widths="full")
    with torch.device("meta"):
        state = build(spec).state_dict()
    theirs = {name: tuple(tensor.shape) for name, tensor in state.items() if not name.endswith("tracked")}
    parameters = network.build(spec)._collect_params_with_prefix()
    assert theirs == {torch_name(name): parameter.shape for name, parameter in parameters.items()}


def test_every_unit_and_attention_type_exists_in_pytorch():
    assert all(hasattr(torch_units, name) for name in UNITS.values())
    assert set(torch_attention.ATTENTION) == set(attention_types.ATTENTION)


def test_initial_weights_have_the_distribution_of_gluon():
    torch.manual_seed(0)
    spec = NetworkSpec(10, unit="resnext", widths="thin")
    state, net = build(spec).state_dict(), network.build(spec)
    net.initialize()
    compared = 0
    for name, parameter in net._collect_params_with_prefix().items():
        ours, theirs = parameter.data().asnumpy(), state[torch_name(name)].numpy()
        if name.endswith(".weight"):
            if ours.size >= 4096:
                compared += 1
                assert theirs.std() == pytest.approx(ours.std(), rel=0.1) and abs(theirs.mean()) < 0.1 * theirs.std()
        else:
            assert (ours == theirs).all(), name
    assert compared > 50


@pytest.mark.parametrize("unit", UNITS)
def test_units_start_as_their_shortcuts(unit):
    net = make(unit=unit)
    rival = twin(net)
    units.zero_init_residual(net)
    zero_init_residual(rival)
    state = rival.state_dict()
    zero = {
        torch_name(name) for name, one in net._collect_params_with_prefix().items() if not one.data().asnumpy().any()
    }
    assert {name for name in state if not name.endswith("tracked") and not state[name].any()} == zero
    assert len([name for name in zero if name != "output.bias"]) > 20


def test_batch_normalisation_divides_by_the_number_of_values():
    norm, x = layers.BatchNorm(2).train(), noise(2, 2, 1, 2)
    before = norm(torch.from_numpy(x))
    values = x.transpose(1, 0, 2, 3).reshape(2, -1)
    assert np.allclose(norm.running_mean.numpy(), 0.1 * values.mean(1))
    assert np.allclose(norm.running_var.numpy(), 0.9 + 0.1 * values.var(1))
    norm(torch.from_numpy(x))
    before.sum().backward()  # after another forward pass, as with accumulated gradients


def test_the_networks_need_no_mxnet():
    program = (
        "import sys; sys.modules['mxnet'] = None; import torch; from resattnet import NetworkSpec\n"
        "from resattnet.torch import build, load, save\n"
        "print(tuple(build(NetworkSpec(10, widths='tiny', unit='basic'))(torch.zeros(2, 3, 8, 8)).shape))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == "(2, 10)\n", done.stderr
