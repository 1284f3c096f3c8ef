"""Test that the fused graph gives the network's logits and that the INT8 graph approximates them in INT8."""

import json
import warnings

import numpy as np
import pytest

import resattnet
from helpers import small_digits
from helpers.networks import difference, images, initialised, operators
from resattnet.commands.training_run import train
from resattnet.data.transforms import Transform
from resattnet.datasets import catalog
from resattnet.evaluation.evaluate import evaluate_files
from resattnet.evaluation.network import evaluate
from resattnet.evaluation.options import TestOptions
from resattnet.loaders.array_loader import ArrayLoader
from resattnet.machine.mxnet import mx
from resattnet.models.graphs import fuse, quantize
from resattnet.prediction.model_file import load_model
from resattnet.run_options import options
from resattnet.system.errors import InputError, Remark
from resattnet.zoo import parameters


@pytest.mark.parametrize("learning", ["arl", "nal"])
@pytest.mark.parametrize(
    "build, depth",
    [(resattnet.get_attention_cifar, 56), (resattnet.get_attention_cifar, 92), (resattnet.get_attention_net, 56)],
)
@pytest.mark.isa
def test_fused_gives_the_same_logits(build, depth, learning):
    widths = "thin" if build is resattnet.get_attention_cifar else "full"
    net = initialised(build(10, depth, widths=widths, attention_learning=learning))
    graph = fuse(net)
    for shape in ((3, 3, 32, 32), (1, 3, 37, 50), (3, 3, 32, 32)):
        x = images(*shape)
        expected = net(x)
        assert difference(graph(x), expected) < 1e-4 * max(1, float(abs(expected).max().asscalar()))
    assert difference(net(x), expected) == 0, "the network itself has changed"


@pytest.mark.isa
def test_fused_leaves_no_convolution_alone():
    net = initialised(resattnet.get_attention_cifar(10, 56, widths="thin"))
    graph = fuse(net)
    graph(images(2, 3, 32, 32))
    found = operators(graph)
    assert found["_sg_mkldnn_conv"] == 110 and not found["Convolution"]
    # Only a normalisation after a convolution is fused. One after a sum, a product or an interpolation is not.
    assert found["BatchNorm"] == 37


def test_fused_of_the_deepest():
    net = initialised(resattnet.get_attention_cifar(10, 452, widths="thin"))
    for parameter in net.collect_params(".*conv.*_weight").values():
        parameter.set_data(parameter.data() / 2)  # the initial logits are 1e15: rounding would dominate
    x = images(1, 3, 32, 32)
    expected = net(x)
    assert difference(fuse(net)(x), expected) < 1e-4 * float(abs(expected).max().asscalar())


def test_fused_follows_the_parameters_of_its_net():
    net = initialised(resattnet.get_attention_cifar(10, 56, widths="thin"))
    graph, x = fuse(net), images(2, 3, 32, 32)
    net.output.bias.set_data(net.output.bias.data() + 1)
    assert difference(graph(x), net(x)) < 1e-4 * float(abs(net(x)).max().asscalar())


def test_fused_exported_and_imported_gives_the_same(tmp_path):
    graph, x = fuse(initialised(resattnet.get_attention_cifar(10, 56, widths="thin"))), images(2, 3, 32, 32)
    expected = graph(x)
    graph.export(str(tmp_path / "net"))
    again = mx.gluon.SymbolBlock.imports(str(tmp_path / "net-symbol.json"), ["data"], str(tmp_path / "net-0000.params"))
    assert difference(again(x), expected) < 1e-4


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Yield the best parameters of two epochs on small digits. The tests that use this fixture see small digits too.

    The run starts from the packaged network so that the network is well trained: top-1 is 0.93 to 0.96, and the
    median difference between the two highest logits is 5 to 6. The INT8 graph changes no logit by more than 0.8.
    Its class therefore differs from the float32 class on 0 to 1 % of the images, whatever the CPU's instruction set.
    After two epochs from random weights, top-1 was 0.58 and the classes differed on 4 to 6.4 % of the images,
    depending on the CPU.
    """
    folder = tmp_path_factory.mktemp("digits")
    with pytest.MonkeyPatch.context() as patch:
        small_digits.use(patch)
        run = train(
            options.TrainingOptions(
                dataset="digits",
                widths="thin",
                params="cifar10_attention56_thin",
                lr=0.05,
                epochs=2,
                batch_size=32,
                warmup_epochs=1,
                num_gpus=0,
                log_dir=str(folder / "log"),
                model_dir=str(folder / "models"),
            )
        )
        yield run.folder + "/best.params"


@pytest.mark.isa
def test_int8_computes_in_int8_and_sees_what_float32_sees(trained, capfd):
    net = resattnet.get_attention_cifar(10, 56, widths="thin")
    parameters.load_parameters(net, trained, [mx.cpu()])
    facts = catalog.describe_data("digits")
    transform = Transform(facts.mean, facts.std, 10)
    train_set, test_set = (catalog.load_images("digits", None, split) for split in ("train", "test"))
    graph = quantize(net, transform(train_set.images[:100], train_set.labels[:100])[0])
    assert capfd.readouterr().err == ""
    found = operators(graph)
    # The layers up to the first unit's ReLU stay float32: the stem (one operator), a normalisation and a ReLU.
    assert found["_contrib_quantized_batch_norm"] == 36 and found["BatchNorm"] == 1
    assert found["_contrib_quantized_act"] == 36
    assert found["_sg_mkldnn_conv"] == 110
    nodes = json.loads(graph(mx.sym.var("data")).tojson())["nodes"]
    convolutions = [node["attrs"].get("quantized") for node in nodes if node["op"] == "_sg_mkldnn_conv"]
    assert convolutions == [None] + 109 * ["true"]
    x = mx.nd.array(transform(test_set.images, test_set.labels)[0])
    assert (graph(x).argmax(1) == net(x).argmax(1)).mean().asscalar() > 0.95
    loader = ArrayLoader(test_set, transform, 50)
    accuracies = [evaluate(block, loader, [mx.cpu()]).top1 for block in (net, graph)]
    assert accuracies[0] > 0.5 and abs(accuracies[1] - accuracies[0]) < 0.03
    assert graph(images(2, 3, 37, 50)).shape == (2, 10)


@pytest.mark.parametrize(
    "build, side, widths, first_unit",
    [(resattnet.get_attention_cifar, 32, "thin", 3), (resattnet.get_attention_net, 64, "full", 4)],
)
@pytest.mark.isa
def test_int8_sees_small_channels_beside_large_ones(build, side, widths, first_unit):
    """INT8 logits match float32 when the ranges of the stem's channels differ by a factor of 1000.

    A trained stem has such channels. The first unit scales the channels to a common range. The correlation of the
    logits is 0.998. With the stem's output in INT8, the correlation was 0.97.
    """
    net = initialised(build(10, 56, widths=widths))
    x = images(16, 3, side, side)
    before, stem, unit = net(x).asnumpy(), net.features[1], net.features[first_unit].bn1
    scale = 10.0 ** mx.nd.array(np.random.default_rng(5).uniform(-2, 1, stem.gamma.shape))
    for parameter in (stem.gamma, stem.beta, unit.running_mean):
        parameter.set_data(parameter.data() * scale)
    unit.running_var.set_data(unit.running_var.data() * scale**2)
    expected = net(x).asnumpy()
    assert abs(expected - before).max() < 0.1 * before.std()  # it is 0.04, due to the normalisation's epsilon
    found = quantize(net, x.asnumpy())(x).asnumpy()
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.99


@pytest.mark.isa
def test_int8_of_the_packaged_network_on_real_images(cifar10_dir):
    """INT8 and float32 classes agree on 99 % of the images. The ranges of the stem's channels differ 1000-fold."""
    net = resattnet.get_attention_cifar(10, 56, widths="thin", pretrained=True)
    facts = catalog.describe_data("cifar10")
    transform = Transform(facts.mean, facts.std, 10)
    train_set, test_set = (catalog.load_images("cifar10", cifar10_dir, split) for split in ("train", "test"))
    # A copy of CIFAR-10 may hold its images sorted by class.
    calibration, test = (np.random.default_rng(0).permutation(len(part.labels)) for part in (train_set, test_set))
    graph = quantize(net, transform(train_set.images[calibration[:64]], train_set.labels[calibration[:64]])[0])
    x = mx.nd.array(transform(test_set.images[test[:300]], test_set.labels[test[:300]])[0])
    assert (graph(x).argmax(1) == net(x).argmax(1)).mean().asscalar() > 0.95


@pytest.mark.parametrize("given", [dict(graph="fused"), dict(graph="int8", calibration_images=64)])
def test_a_parameter_file_is_measured_with_the_graph_asked_for(trained, given):
    plain = evaluate_files([trained], TestOptions(num_gpus=0))[0].evaluation
    other = evaluate_files([trained], TestOptions(num_gpus=0, **given))[0].evaluation
    assert other.samples == plain.samples == 360 and abs(other.top1 - plain.top1) < 0.03
    assert other.loss != plain.loss


@pytest.mark.parametrize(
    "given, message",
    [
        (dict(graph="int4"), "^graph=int4: choose from plain, fused, int8"),
        (dict(graph="fused", num_gpus=1), "^graph=fused num_gpus=1: this graph runs on the CPU; give num_gpus=0"),
        (dict(graph="int8", num_gpus=2), "^graph=int8 num_gpus=2: this graph runs on the CPU; give num_gpus=0"),
        (dict(graph="fused", calibration_images=9), "^calibration_images=9 has no effect without graph=int8"),
        (dict(graph="int8", calibration_images=0), "^calibration_images=0: give a number at least 1"),
    ],
)
def test_options_that_do_not_go_together(given, message):
    with pytest.raises(InputError, match=message):
        TestOptions(**given)


def test_more_calibration_images_than_there_are(trained):
    model = load_model(trained, TestOptions(), [mx.cpu()])
    with pytest.warns(Remark, match="^calibration_images=2000: all 1437 training images are taken$"):
        assert len(model.calibration_images(2000)) == 1437
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(model.calibration_images(9)) == 9
