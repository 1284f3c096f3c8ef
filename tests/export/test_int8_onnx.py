"""Test INT8 ONNX files: what they compute in each engine, what they say of themselves, and what is refused."""

import hashlib
import json
import sys
import types

import numpy as np
import pytest

from helpers.networks import initialised
from resattnet.datasets import catalog
from resattnet.export import int8_onnx
from resattnet.export.export_file import export_file
from resattnet.export.options import ExportOptions
from resattnet.machine.mxnet import mx
from resattnet.prediction import loaded_model
from resattnet.prediction.classifier import Classifier
from resattnet.prediction.loaded_model import LoadedModel
from resattnet.runtimes.engines import ENGINES
from resattnet.runtimes.onnx_graph import make_model
from resattnet.runtimes.onnx_program import compile_model
from resattnet.system.errors import InputError
from resattnet.zoo.builders import get_attention_cifar

onnx = pytest.importorskip("onnx", reason="python -m pip install -e '.[onnx]'")
pytest.importorskip("onnxruntime", reason="python -m pip install -e '.[onnx]'")

pytestmark = pytest.mark.timeout(600)  # NNCF takes 20 s of a core with protobuf's Python implementation


def needs_nncf():
    if "nncf" not in sys.modules:
        try:
            int8_onnx.import_nncf()
        except InputError as error:
            pytest.skip(str(error))


def installed():
    return [name for name, engine in ENGINES.items() if engine.is_installed]


@pytest.fixture(scope="module")
def quantize():
    """Patch the quantisation, so that it is done once for all exports that are calibrated on the same images."""
    needs_nncf()
    done, real = {}, int8_onnx.quantize_model

    def once(model, images):
        key = hashlib.sha256(images.tobytes()).hexdigest()
        if key not in done:
            done[key] = real(model, images)
        copy = onnx.ModelProto()
        copy.CopyFrom(done[key])
        return copy

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(int8_onnx, "quantize_model", once)
        patch.setattr(int8_onnx, "LEAST_AGREEMENT", 0.5)  # CIFAR's network on digits, which it does not know
        yield


def export(path, **given):
    export_file("cifar10_attention56_thin", ExportOptions(output=str(path), dataset="digits", **given))
    return str(path)


@pytest.fixture(scope="module")
def files(quantize, tmp_path_factory):
    """Return the float32 file, the INT8 file, and the INT8 file that takes pixels."""
    folder, int8 = tmp_path_factory.mktemp("files"), dict(to="int8-onnx", calibration_images=64)
    return {
        "onnx": export(folder / "net.onnx"),
        "int8-onnx": export(folder / "int8.onnx", **int8),
        "pixels": export(folder / "pixels.onnx", normalise_inside=True, **int8),
    }


@pytest.fixture(scope="module")
def digits():
    return catalog.load_images("digits", None, "test").images[:40]


def test_an_int8_file_is_near_to_the_network_in_each_engine(files, digits):
    expected = Classifier.load(files["onnx"], runtime="onnxruntime").logits(digits)
    spread = expected.std()
    for engine in installed():
        found = Classifier.load(files["int8-onnx"], runtime=engine).logits(digits)
        assert 0 < np.sqrt(((found - expected) ** 2).mean()) < 0.15 * spread
        assert (found.argmax(1) == expected.argmax(1)).mean() > 0.85


def test_an_int8_file_that_takes_pixels_gives_the_same_logits(files, digits):
    for engine in installed():
        plain, pixels = (Classifier.load(files[name], runtime=engine) for name in ("int8-onnx", "pixels"))
        assert pixels.model.takes_pixels and not plain.model.takes_pixels
        assert np.abs(pixels.logits(digits) - plain.logits(digits)).max() < 1e-5


def test_an_int8_file_holds_whole_numbers_and_describes_itself(files):
    model, known = onnx.load(files["int8-onnx"]), {}
    for item in model.metadata_props:
        known[item.key] = item.value
    assert known["precision"] == "int8" and known["input"] == "float32 NCHW"
    calibration = json.loads(known["calibration"])
    assert (calibration["images"], calibration["compared"]) == (64, 256) and calibration["nncf"]
    assert sorted(calibration["same_top1"]) == sorted(installed())
    float32 = {item.key: item.value for item in onnx.load(files["onnx"]).metadata_props}
    assert {name: known[name] for name in float32} == float32
    arrays = {part.name: part.data_type for part in model.graph.initializer}
    made = {name: node for node in model.graph.node for name in node.output}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    assert convolutions[0].input[0] == "images" and convolutions[0].input[1] in arrays  # the stem stays float32
    for node in convolutions[1:]:
        types = [arrays[made[name].input[0]] for name in node.input[1:]]
        assert types == [onnx.TensorProto.INT8, onnx.TensorProto.INT32][: len(types)]
    for node in model.graph.node:
        if node.op_type in ("Resize", "Sigmoid"):
            consumed = [made[name].op_type for name in node.input if name in made]
            assert consumed and onnx.TensorProto.INT8 not in [arrays.get(name) for name in node.input]


def test_equal_biases_of_several_layers_keep_their_own_scales():
    """Without training, all biases are equal, and onnxruntime stores equal arrays once."""
    needs_nncf()
    from resattnet.runtimes.int8_graph import quantize_model

    net = initialised(get_attention_cifar(10, 56, "tiny"))
    noise = np.random.default_rng(0).normal(size=(8, 3, 32, 32)).astype(np.float32)
    model = quantize_model(make_model(net, 32, 32), noise)
    names = [node.name for node in model.graph.node]
    assert len(set(names)) == len(names)
    expected = net(mx.nd.array(noise)).asnumpy()
    for engine in installed():
        found = compile_model(model.SerializeToString(), engine, "float32", "the network").run(noise)
        assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.98


def test_int8_that_gives_other_classes_is_not_written(quantize, tmp_path, monkeypatch):
    monkeypatch.setattr(int8_onnx, "LEAST_AGREEMENT", 1.1)
    with pytest.raises(InputError, match=r"net\.onnx was not written: INT8 by \w+: the class .* of 256 training im"):
        export(tmp_path / "net.onnx", to="int8-onnx", calibration_images=8)
    assert list(tmp_path.iterdir()) == []


def replace_images(monkeypatch, read):
    """Let `read` give the images of a data set, to the export and to the calibration."""
    for module in (int8_onnx, loaded_model):
        monkeypatch.setattr(module, "read_images", read)


@pytest.mark.parametrize(
    "count, total, calibrated, others", [(1, 1000, 1, 256), (None, 400, 256, 144), (64, 40, 40, 0)]
)
def test_int8_is_judged_on_images_that_it_was_not_calibrated_on(monkeypatch, count, total, calibrated, others):
    images = np.arange(total, dtype=np.float32).reshape(-1, 1, 1, 1) + np.zeros((1, 3, 2, 2), np.float32)
    model = LoadedModel("net", None, None, None, {}, {}, [])
    labels = np.zeros(total)
    replace_images(monkeypatch, lambda *_: types.SimpleNamespace(images=images, labels=labels))
    monkeypatch.setattr(LoadedModel, "transform", property(lambda self: lambda *arrays: arrays))
    source = types.SimpleNamespace(model=model, options=types.SimpleNamespace(calibration_images=count))
    calibration, judged = int8_onnx._training_images(source, 2, 2)
    assert np.array_equal(calibration, model.calibration_images(count)) and len(calibration) == calibrated
    fresh = set(judged[:, 0, 0, 0]) - set(calibration[:, 0, 0, 0])
    assert len(judged) == min(256, total) == len(np.unique(judged[:, 0, 0, 0])) and len(fresh) == others


def test_without_nncf_one_line_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "nncf", None)
    with pytest.raises(InputError, match="nncf cannot be imported .* python -m pip install -e '.\\[int8\\]'") as raised:
        export(tmp_path / "net.onnx", to="int8-onnx")
    assert "\n" not in str(raised.value)


def test_without_training_images_int8_is_refused(tmp_path, monkeypatch):
    needs_nncf()

    def absent(model, split, download=True):
        raise InputError("CIFAR-10 is not in data")

    replace_images(monkeypatch, absent)
    with pytest.raises(InputError, match="CIFAR-10 is not in data"):
        export(tmp_path / "net.onnx", to="int8-onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "given, message",
    [
        (dict(to="symbol", normalise_inside=True), "^normalise_inside=True has no effect without to=onnx or to=int8-"),
        (dict(to="int8-onnx", output="net.params"), "^output=net.params: give a name that ends in .onnx"),
    ],
)
def test_options_that_do_not_go_together(given, message):
    with pytest.raises(InputError, match=message):
        ExportOptions(**given)


@pytest.mark.slow
def test_the_packaged_network_keeps_its_accuracy(cifar10_dir, tmp_path):
    needs_nncf()
    path = str(tmp_path / "net.onnx")
    name = "cifar10_attention56_thin"
    export_file(name, ExportOptions(to="int8-onnx", output=path, data_dir=str(cifar10_dir)))
    test_set = catalog.load_images("cifar10", str(cifar10_dir), "test")
    classifier = Classifier.load(path)
    batches = np.split(test_set.images, 100)
    found = np.concatenate([classifier.logits(batch).argmax(1) for batch in batches])
    assert (found == test_set.labels).mean() > 0.9013 - 0.003
