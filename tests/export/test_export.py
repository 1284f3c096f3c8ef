"""Test exports against their networks, detection of wrong exports without a file left, and the docs example."""

import json
import logging
import os
import re
import resource
import subprocess
import sys
import types
import warnings

import numpy as np
import pytest

import resattnet
from helpers.in_process import script_here
from helpers.networks import difference, images, initialised, operators
from helpers.scripts import ROOT, refused, script
from helpers.tries import FULL
from resattnet.data.transforms import Transform
from resattnet.datasets import catalog
from resattnet.export import onnx as onnx_target
from resattnet.export import sources, symbol, targets
from resattnet.export.comparison import Export, compare
from resattnet.export.export_file import export_file
from resattnet.export.onnx import export_onnx
from resattnet.export.options import ExportOptions
from resattnet.export.symbol import export_symbol
from resattnet.machine.mxnet import mx
from resattnet.models.graphs import quantize
from resattnet.prediction.model_file import load_model
from resattnet.runtimes import network_graph, onnx_graph
from resattnet.system.errors import InputError
from resattnet.zoo import parameters
from resattnet.zoo.builders import get_attention_cifar, get_attention_net

onnx = pytest.importorskip("onnx", reason="python -m pip install -e '.[onnx]'")
onnxruntime = pytest.importorskip("onnxruntime", reason="python -m pip install -e '.[onnx]'")

VARIANTS = [  # one set of network arguments per line
    dict(attention_learning="arl"),
    dict(attention_learning="nal"),
    dict(attention="channel"),
    dict(attention="spatial"),
    dict(mask="local"),
    dict(mask="none"),
]


def digits(count):
    """Return the first `count` digits test images, transformed into network input."""
    facts, test_set = catalog.describe_data("digits"), catalog.load_images("digits", None, "test")
    return Transform(facts.mean, facts.std, 10)(test_set.images[:count], test_set.labels[:count])[0]


def tame(net):
    """Halve the convolution weights of a deep network, whose initial logits are 1e15 and all rounding error."""
    for parameter in net.collect_params(".*conv.*_weight").values():
        parameter.set_data(parameter.data() / 2)
    return net


def open_plain(path):
    """Open a file by onnxruntime as it is: to optimise a deep graph takes longer than to compute a few images."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def run(path, x):
    return open_plain(path).run(None, {"images": x})[0]


def assert_same(given, expected):
    """Assert that logits agree within 1e-4 of the largest logit and that top-1 is equal."""
    assert np.abs(given - expected).max() < 1e-4 * max(1, np.abs(expected).max())
    assert (given.argmax(1) == expected.argmax(1)).all()


@pytest.mark.parametrize(
    "depth, variant",
    [(56, variant) for variant in VARIANTS] + [(92, VARIANTS[0])],
    ids=lambda value: "-".join(value.values()) if isinstance(value, dict) else str(value),
)
def test_onnx_gives_the_logits_of_the_network(depth, variant, tmp_path):
    path, x = str(tmp_path / "net.onnx"), digits(8)
    net = initialised(get_attention_cifar(10, depth, widths="thin", **variant))
    comparison = export_onnx(net, path, images=x)
    expected = net(mx.nd.array(x)).asnumpy()
    session = open_plain(path)
    for count in (1, 3, 8):  # any batch size
        assert_same(session.run(None, {"images": x[:count]})[0], expected[:count])
    assert comparison.images == comparison.agreeing == 8 and comparison.largest == np.abs(expected).max()
    assert 0 < comparison.error < 1e-4 * max(1, comparison.largest)
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert [value.name for value in model.graph.input] == ["images"]
    assert {node.op_type for node in model.graph.node} & {"Shape", "Slice", "Concat", "MatMul"} == set()
    assert os.listdir(str(tmp_path)) == ["net.onnx"]


@pytest.mark.parametrize(
    "builder, unit, size, groups",
    [
        (get_attention_cifar, "resnext", (32, 32), {1, 2, 3, 4, 6}),
        (get_attention_net, "resnext", (37, 50), {1, 8, 16, 32}),
        (get_attention_cifar, "inception", (32, 32), {1}),
        (get_attention_cifar, "basic", (37, 50), {1}),
    ],
)
@pytest.mark.isa
def test_onnx_of_each_unit_gives_the_logits_of_the_network(builder, unit, size, groups, tmp_path):
    net, path = initialised(builder(10, 56, "tiny", unit=unit)), str(tmp_path / "net.onnx")
    x = images(3, 3, *size).asnumpy()
    comparison = export_onnx(net, path, images=x)
    expected = net(mx.nd.array(x)).asnumpy()
    assert_same(run(path, x), expected)
    assert comparison.agreeing == 3 and comparison.largest == np.abs(expected).max()
    attributes = [attribute for node in onnx.load(path).graph.node for attribute in node.attribute]
    assert {attribute.i for attribute in attributes if attribute.name == "group"} == groups


@pytest.mark.parametrize("size", [(37, 50), 5])
def test_sizes_that_do_not_divide(size, tmp_path):
    net, path = initialised(get_attention_cifar(10, 56, widths="thin")), str(tmp_path / "net.onnx")
    x = images(2, 3, *np.broadcast_to(size, 2))
    export_onnx(net, path, size, images=x.asnumpy())
    assert_same(run(path, x.asnumpy()), net(x).asnumpy())


@pytest.mark.parametrize("size, levels", [((9, 7), 3), ((13, 20), 3), ((1, 1), 3), ((2, 3), 1)])
def test_scales_round_down_to_the_sizes(size, levels):
    for _ in range(levels):
        small = tuple((side + 1) // 2 for side in size)
        graph = json.loads(
            mx.sym.contrib.BilinearResize2D(
                mx.sym.zeros((1, 2) + small, name="small"), mx.sym.var("images"), mode="like", name="resize"
            ).tojson()
        )
        scales = onnx_graph._fix_sizes(graph, (1, 2) + size)["resize"]
        assert scales.dtype == np.float32
        for scale, before, after in zip(scales, (1, 2) + small, (1, 2) + size):
            assert int(np.float32(scale) * np.float32(before)) == int(float(scale) * before) == after
        size = small


def test_another_interpolation_is_caught(tmp_path, monkeypatch):
    """A graph without aligned corners differs from the network, and export leaves no file."""
    net, x = initialised(get_attention_cifar(10, 56, widths="thin")), digits(4)

    def wrong_model(*args):
        model = onnx_graph.make_model(*args)
        for node in model.graph.node:
            for attribute in node.attribute:
                if attribute.name == "coordinate_transformation_mode":
                    assert attribute.s == b"align_corners"
                    attribute.s = b"half_pixel"
        return model

    path = str(tmp_path / "wrong.onnx")
    onnx.save(wrong_model(net, 32, 32), path)
    wrong = compare(run(path, x), net(mx.nd.array(x)).asnumpy())
    assert wrong.error > 100 * targets.TARGETS["onnx"].tolerance * wrong.largest
    monkeypatch.setattr(onnx_target, "make_model", wrong_model)
    with pytest.raises(RuntimeError, match="net.onnx was not written: its logits differ from the network's"):
        export_onnx(net, str(tmp_path / "net.onnx"), images=x)
    assert os.listdir(str(tmp_path)) == ["wrong.onnx"]


# `make fuzz` takes all depths; those between take the same ways.
DEEP = [(get_attention_cifar, 452, "thin", 32)]
BETWEEN = [(get_attention_cifar, depth, "thin", 32) for depth in (128, 164, 236)] + [
    (get_attention_net, 92, "full", 64)
]


@pytest.mark.parametrize(
    "build, depth, widths, size",
    [
        (get_attention_cifar, 56, "full", 32),
        (get_attention_net, 56, "full", 64),
        *(pytest.param(*case, marks=pytest.mark.slow) for case in DEEP + (BETWEEN if FULL else [])),
    ],
)
def test_onnx_of_every_depth_and_stem(build, depth, widths, size, tmp_path):
    net, path = tame(initialised(build(10, depth, widths=widths))), str(tmp_path / "net.onnx")
    x = images(2, 3, size, size)
    assert export_onnx(net, path, images=x.asnumpy()).agreeing == 2  # export runs the ONNX checker first
    assert_same(run(path, x.asnumpy()), net(x).asnumpy())


def test_the_size_that_a_stem_is_for():
    assert sources.default_size(get_attention_cifar(10, 56)) == 32
    assert sources.default_size(get_attention_net(10, 56)) == 224


def test_an_export_leaves_the_network_and_the_logging_as_they_were(tmp_path, capfd):
    net, path = initialised(get_attention_cifar(10, 56, widths="thin")), str(tmp_path / "net.onnx")
    before, handlers = operators(net), list(logging.getLogger().handlers)
    resattnet.export_onnx(net, path, images=digits(2))
    assert operators(net) == before and before["dot"] and not before["_contrib_BilinearResize2D"]
    assert logging.getLogger().handlers == handlers and logging.getLogger().manager.disable == logging.NOTSET
    assert capfd.readouterr() == ("", "")
    # Names come from the layers: a network with equal parameters but other Gluon names gives the same file.
    again = get_attention_cifar(10, 56, widths="thin")
    again.initialize()
    parameters.copy_parameters(net, again)
    export_onnx(again, str(tmp_path / "again.onnx"), images=digits(2))
    assert (tmp_path / "again.onnx").read_bytes() == (tmp_path / "net.onnx").read_bytes()
    names = {tensor.name for tensor in onnx.load(path).graph.initializer}
    assert set(net._collect_params_with_prefix()) <= names


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Return a parameter file with a description, as from a digits run, and the network. Class scores are close."""
    path = str(tmp_path_factory.mktemp("saved") / "best.params")
    net = initialised(get_attention_cifar(10, 56, widths="thin"))
    net.output.weight.set_data(net.output.weight.data() / 20)
    network = dict(
        num_layers=56, widths="thin", classes=10, attention_learning="arl", attention="mixed", mask="hourglass"
    )
    parameters.save_parameters(net, path, dict(network=network, dataset="digits", validation_top1=0.125))
    return path, net


def test_the_export_script_describes_its_files(saved, tmp_path):
    path, net = saved
    done = script("export.py", "--params", path, "--to", "onnx", "--output", tmp_path / "net.onnx")
    assert (done.returncode, done.stderr) == (0, "")
    assert "on 64 test images: largest error" in done.stdout and "same top-1 on 64 of 64" in done.stdout
    model = onnx.load(str(tmp_path / "net.onnx"))
    known = {item.key: item.value for item in model.metadata_props}
    texts = dict(
        layout="NCHW",
        channels="RGB",
        dataset="digits",
        resattnet_version=resattnet.__version__,
        params_sha256=parameters.read_description(path)["sha256"],
    )
    assert {name: known[name] for name in texts} == texts
    facts = catalog.describe_data("digits")
    assert [json.loads(known[name]) for name in ("mean", "std", "classes", "image_size", "top1")] == [
        list(facts.mean),
        list(facts.std),
        list("0123456789"),
        [32, 32],
        0.125,
    ]
    assert json.loads(known["network"]) == dict(
        num_layers=56,
        stem="cifar",
        widths="thin",
        unit="bottleneck",
        classes=10,
        attention_learning="arl",
        attention="mixed",
        mask="hourglass",
        stage_strides=[1, 2, 2],
    )
    assert "(batch, 3, 32, 32)" in model.doc_string and known["preprocessing"] and known["range"]
    shapes = [
        [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (model.graph.input[0], model.graph.output[0])
    ]
    assert shapes == [["batch", 3, 32, 32], ["batch", 10]] and model.graph.output[0].name == "logits"


def test_another_image_size(saved, tmp_path):
    target = str(tmp_path / "net.onnx")
    _, comparison, what = export_file(saved[0], ExportOptions(output=target, image_size=48))
    assert what == f"{comparison.images} test images" and comparison.images == 28
    x = images(2, 3, 48, 48)
    assert_same(run(target, x.asnumpy()), saved[1](x).asnumpy())


def test_noise_where_the_data_set_is_absent(saved, tmp_path):
    options = ExportOptions(output=str(tmp_path / "net.onnx"), dataset="cifar10", data_dir=str(tmp_path))
    _, comparison, what = export_file(saved[0], options)
    assert comparison.images == 64 and "noise, because there are no test images (CIFAR-10 is not in" in what
    known = {item.key: item.value for item in onnx.load(str(tmp_path / "net.onnx")).metadata_props}
    assert json.loads(known["classes"])[0] == "airplane"


@pytest.mark.parametrize("target", ["symbol", "int8"])
@pytest.mark.isa
def test_symbols_are_read_again_at_any_size(saved, target, tmp_path, capfd):
    path, net = saved
    prefix = str(tmp_path / "net")
    options = ExportOptions(to=target, output=prefix, calibration_images=64 if target == "int8" else None)
    paths, comparison, _ = export_file(path, options)
    assert capfd.readouterr().err == "" and sorted(os.listdir(str(tmp_path))) == ["net-0000.params", "net-symbol.json"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MXNet warns about the data type
        again = mx.gluon.SymbolBlock.imports(paths[0], ["data"], paths[1])
    x = images(3, 3, 40, 33)
    if target == "symbol":
        assert comparison.error == 0 and difference(again(x), net(x)) == 0
        return
    assert comparison.error > 0 and comparison.images == 64
    assert operators(again)["_sg_mkldnn_conv"] and not operators(again)["Convolution"]
    graph = quantize(net, load_model(path, options, [mx.cpu()]).calibration_images(64))
    assert difference(again(x), graph(x)) < 1e-4 * float(abs(net(x)).max().asscalar())


def test_default_names_stand_beside_the_parameters(saved, monkeypatch):
    outputs = []
    monkeypatch.setattr(
        targets.Target,
        "load",
        lambda target: types.SimpleNamespace(
            export=lambda source, output, tolerance: outputs.append(output) or Export((output,), None)
        ),
    )
    stem = os.path.splitext(saved[0])[0]
    for target, expected in (
        ("onnx", ".onnx"),
        ("symbol", ""),
        ("int8", "-int8"),
        ("float16", "-float16"),
        ("int8-onnx", "-int8.onnx"),
        ("torch", ".safetensors"),
    ):
        assert export_file(saved[0], ExportOptions(to=target))[0] == (stem + expected,) == (outputs[-1],)


def test_each_target_has_a_module_and_is_offered():
    assert tuple(targets.TARGETS) == ExportOptions.__dataclass_fields__["to"].metadata["choices"]
    assert all(callable(target.load().export) for target in targets.TARGETS.values())
    done = subprocess.run(
        [sys.executable, "-c", "import resattnet.export.targets, sys; print('mxnet' in sys.modules)"],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.stdout == "False\n", done.stderr


def test_a_failed_export_keeps_earlier_files(saved, tmp_path, monkeypatch):
    for name in ("net.onnx", "net-symbol.json", "net-0000.params", "net.params", "net.json"):
        (tmp_path / name).write_text("before")
    for name, output in (("onnx", "net.onnx"), ("symbol", "net"), ("float16", "net")):
        monkeypatch.setitem(targets.TARGETS, name, targets.TARGETS[name]._replace(tolerance=-1))
        with pytest.raises(RuntimeError, match="its logits differ from the network's"):
            export_file(saved[0], ExportOptions(to=name, output=str(tmp_path / output)))
    assert len(os.listdir(str(tmp_path))) == 5
    assert all((tmp_path / name).read_text() == "before" for name in os.listdir(str(tmp_path)))


def test_a_symbol_of_other_logits_leaves_no_file(saved, tmp_path, monkeypatch):
    monkeypatch.setattr(symbol, "load_graph", lambda graph: network_graph.load_graph(graph) * 2)
    with pytest.raises(RuntimeError, match="net-symbol.json was not written: its logits differ from the network's"):
        export_symbol(saved[1], str(tmp_path / "net"), digits(2))
    assert os.listdir(str(tmp_path)) == []


@pytest.mark.parametrize(
    "given, message",
    [
        (dict(to="tflite"), "^to=tflite: choose from onnx, symbol, int8"),
        (dict(image_size=0), "^image_size=0: give a number at least 1"),
        (
            dict(to="symbol", image_size=64),
            "^image_size=64 has no effect without to=onnx or to=int8-onnx: the other formats take images of any size",
        ),
        (
            dict(to="symbol", classes="names.txt"),
            "^classes=names.txt has no effect without to=onnx.*: the other formats hold no class names",
        ),
        (dict(calibration_images=64), "^calibration_images=64 has no effect without to=int8 or to=int8-onnx"),
        (dict(output="nowhere/net.onnx"), "^output=nowhere/net.onnx: there is no folder .*nowhere"),
        (dict(output="net.params"), "^output=net.params: give a name that ends in .onnx"),
    ],
)
def test_options_that_do_not_go_together(given, message):
    with pytest.raises(InputError, match=message):
        ExportOptions(**given)


@pytest.mark.parametrize(
    "args, message",
    [
        ("--to tflite", "--to tflite: choose from onnx, symbol, int8"),
        ("--num-layers 92", "it fits --num-layers 56 --widths thin and 10 classes"),
    ],
)
def test_bad_input_is_one_line(saved, args, message):
    assert message in refused(script_here("export.py", "--params", saved[0], *args.split()))


@pytest.mark.parametrize("name", ["there/net", "taken"])
def test_targets_that_cannot_be_written(saved, name, tmp_path):
    for taken in ("taken.onnx", "taken-symbol.json"):
        (tmp_path / taken).mkdir()
    with pytest.raises(InputError, match=name + ".onnx cannot be written"):
        export_onnx(saved[1], str(tmp_path / name) + ".onnx", images=digits(2))
    with pytest.raises(InputError, match=name + ".* cannot be written"):
        export_symbol(saved[1], str(tmp_path / name), digits(2))
    assert sorted(os.listdir(str(tmp_path))) == ["taken-symbol.json", "taken.onnx"]


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_without_the_packages_one_line_says_how_to_get_them(saved, package, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match="python -m pip install -e '.\\[onnx\\]'") as raised:
        export_file(saved[0], ExportOptions(output=str(tmp_path / "net.onnx")))
    assert "\n" not in str(raised.value)


def test_parameters_that_are_not_finite(saved, tmp_path):
    net = get_attention_cifar(10, 56, widths="thin")
    net.initialize()
    net.output.bias.set_data(net.output.bias.data() * np.nan)
    with pytest.raises(InputError, match="logits are not finite"):
        export_onnx(net, str(tmp_path / "net.onnx"), images=digits(2))


@pytest.mark.parametrize("to", ["onnx", "torch", "float16"])
def test_a_nan_that_relu_hides_is_named_before_the_export(saved, to, tmp_path):
    """MXNet's ReLU makes 0 of a NaN, so that the logits are finite."""
    net = get_attention_cifar(10, 56, widths="thin")
    parameters.load_parameters(net, saved[0], [mx.cpu()])
    beta = net.features[1].beta
    values = beta.data()
    values[0] = np.nan
    beta.set_data(values)
    assert np.isfinite(net(mx.nd.array(digits(2))).asnumpy()).all()
    path = str(tmp_path / "nan.params")
    parameters.save_parameters(net, path, parameters.read_description(saved[0]))
    with pytest.raises(InputError, match="nan.params: not all of its numbers are finite$"):
        export_file(path, ExportOptions(to=to))
    assert sorted(os.listdir(str(tmp_path))) == ["nan.json", "nan.params"]


def example():
    """Return the program in docs/export.md."""
    with open(os.path.join(ROOT, "docs", "export.md"), encoding="utf-8") as handle:
        return re.search(
            r"<!-- predict_onnx -->\s*```python\n(.*?)```\s*<!-- /predict_onnx -->", handle.read(), re.DOTALL
        ).group(1)


def test_the_example_of_the_docs_needs_no_mxnet(saved, tmp_path):
    from PIL import Image

    path, net = saved
    target = str(tmp_path / "net.onnx")
    export_file(path, ExportOptions(output=target))
    program = tmp_path / "predict_onnx.py"
    program.write_text("import sys\nsys.modules['mxnet'] = sys.modules['resattnet'] = None\n" + example())
    test_set, answers = catalog.load_images("digits", None, "test"), set()
    for row, logits in enumerate(net(mx.nd.array(digits(3)))):
        picture = str(tmp_path / "digit.png")
        Image.fromarray(test_set.images[row]).save(picture)
        done = subprocess.run(
            [sys.executable, str(program), target, picture],
            capture_output=True,
            text=True,
            cwd=str(tmp_path),
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        shares = logits.softmax().asnumpy()
        expected = [f"{100 * shares[k]:6.2f} %  {k}" for k in np.argsort(-shares)[:3]]
        assert done.stdout.splitlines() == expected
        answers.add(done.stdout)
    assert len(answers) == 3 and len([line for line in example().splitlines() if line]) <= 32


@pytest.fixture(scope="module")
def exported(saved, tmp_path_factory):
    path = str(tmp_path_factory.mktemp("exported") / "net.onnx")
    export_file(saved[0], ExportOptions(output=path))
    return path


def run_example(exported, picture, tmp_path):
    (tmp_path / "predict_onnx.py").write_text(example())
    return subprocess.run(
        [sys.executable, "predict_onnx.py", exported, picture],
        capture_output=True,
        text=True,
        cwd=str(tmp_path),
        timeout=60,
    )


def test_the_example_of_the_docs_lays_transparent_grey_of_sixteen_bits_on_white(exported, tmp_path):
    from PIL import Image

    grey = np.full((32, 32), 1000, np.uint16)
    grey[8:24, 8:24] = np.arange(16) * 4000
    picture = str(tmp_path / "grey.png")
    Image.fromarray(grey).save(picture, transparency=1000)
    answers = []
    for path in (picture, str(tmp_path / "opaque.png")):
        done = run_example(exported, path, tmp_path)
        assert done.returncode == 0, done.stderr
        first, sign, name = done.stdout.splitlines()[0].split()
        (expected,) = resattnet.Classifier.load(exported, runtime="onnxruntime").predict([path])
        assert (name, sign) == (expected.classes[0], "%")
        assert float(first) == pytest.approx(100 * expected.probabilities[0], abs=0.02)
        answers.append(done.stdout)
        Image.fromarray(grey).save(str(tmp_path / "opaque.png"))
    assert answers[0] != answers[1]


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_the_example_of_the_docs_refuses_what_the_package_refuses(exported, kind, tmp_path):
    from PIL import Image

    picture = str(tmp_path / "deep.tif")
    Image.fromarray(np.full((32, 32), 100, kind)).save(picture)
    words = "its pixels are 32-bit numbers, for which no white level is defined"
    with pytest.raises(InputError, match=words):
        resattnet.Classifier.load(exported, runtime="onnxruntime").predict([picture])
    done = run_example(exported, picture, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"{picture}: {words}\n")


@pytest.mark.parametrize("limit", [10, 100000, 4 << 20])
def test_a_full_disk_at_the_export_of_a_symbol_is_one_line(tmp_path, limit):
    """The files that were there stay. MXNet reports no error if only the end of a file does not fit."""
    net, prefix = initialised(get_attention_cifar(10, 56, "thin")), str(tmp_path / "net")
    export_symbol(net, prefix, images(2, 3, 32, 32).asnumpy())
    whole = {name: (tmp_path / name).read_bytes() for name in os.listdir(str(tmp_path))}
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole["net-0000.params"]) - limit, before[1]))
    try:
        with pytest.raises(InputError) as error:
            export_symbol(net, prefix, images(2, 3, 32, 32).asnumpy())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert re.fullmatch(
        f"{prefix} cannot be written \\(it cannot be written completely: is the disk full\\?: {prefix}-0000.params\\)",
        str(error.value),
    )
    assert whole == {name: (tmp_path / name).read_bytes() for name in os.listdir(str(tmp_path))}
