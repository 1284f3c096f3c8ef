"""Test that an ONNX file whose graph is not what its metadata say is refused, and how engines are shared."""

import json
import pathlib
import shutil
import subprocess
import sys
import threading

import numpy as np
import pytest

from helpers.scripts import ROOT, refused, script
from resattnet.export.export_file import export_file
from resattnet.export.options import ExportOptions
from resattnet.prediction.classifier import Classifier
from resattnet.system.errors import InputError

onnx = pytest.importorskip("onnx", reason="python -m pip install -e '.[onnx]'")
NOISE = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)


def with_metadata(path, other, **values):
    """Write an ONNX file again with other metadata."""
    model = onnx.load(path)
    texts = {part.key: part.value for part in model.metadata_props}
    texts.update((name, value if isinstance(value, str) else json.dumps(value)) for name, value in values.items())
    onnx.helper.set_model_props(model, texts)
    onnx.save(model, str(other))
    return str(other)


@pytest.mark.parametrize(
    "values, fault",
    [
        (dict(image_size=[64, 48]), "its metadata say images of 48x64 pixels, and it takes 32x32"),
        (dict(input="uint8 NHWC"), "its metadata say that it takes uint8 NHWC, and it takes float32 of anyx3x32x32"),
        (dict(classes=list("abcdefghi")), "its metadata name 9 classes, and it has 10"),
        (dict(classes=list("abcdefghijk")), "its metadata name 11 classes, and it has 10"),
        (dict(mean=[float("nan"), 0.5, 0.5]), "a data fact is invalid"),
    ],
)
def test_metadata_of_another_graph_are_refused(engine, exported, tmp_path, values, fault):
    path = with_metadata(exported, tmp_path / "other.onnx", **values)
    with pytest.raises(InputError) as raised:
        Classifier.load(path, runtime=engine)
    assert f"{path}: {fault}" in str(raised.value)


def test_a_file_of_one_batch_size_is_refused(engine, exported, tmp_path):
    model = onnx.load(exported)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    path = str(tmp_path / "one.onnx")
    onnx.save(model, path)
    with pytest.raises(InputError, match="one.onnx: it takes batches of 1 only: write it by the command export$"):
        Classifier.load(path, runtime=engine)


def test_a_data_set_may_be_called_as_a_number(engine, exported, tmp_path):
    path = with_metadata(exported, tmp_path / "other.onnx", dataset="1e5", dataset_title="true")
    model = Classifier.load(path, runtime=engine).model
    assert model.source["name"] == "1e5" and model.facts.title == "true"


def test_a_test_of_images_of_another_size_is_refused(exported, tmp_path):
    large = str(tmp_path / "large.onnx")
    export_file("cifar10_attention56_thin", ExportOptions(output=large, image_size=64))
    path = with_metadata(large, tmp_path / "digits.onnx", dataset="digits", classes=list("0123456789"))
    done = script("cifar10_test.py", "--params", path, cwd=str(tmp_path))
    assert done.returncode == 2 and "Traceback" not in done.stderr
    line = f"{path} was exported for 64x64 pixels, and the test images of digits have 32x32: export it for this size\n"
    assert done.stderr.endswith(line)


def test_a_classifier_serves_several_threads(engine, exported):
    classifier = Classifier.load(exported, runtime=engine)
    expected, found, faults = classifier.predict(NOISE), [], []

    def ask():
        try:
            found.extend(classifier.predict(NOISE) for _ in range(5))
        except Exception as error:
            faults.append(error)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults and len(found) == 15
    assert all([row.labels for row in each] == [row.labels for row in expected] for each in found)


def test_paths_are_path_objects_too(exported):
    assert Classifier.load(pathlib.Path(exported)).classes[3] == "cat"


@pytest.mark.parametrize("kind", ["onnx", "params"])
@pytest.mark.parametrize(
    "settings, line",
    [
        (dict(precision="half"), "precision=half: choose from auto, float32, bfloat16, int8"),
        (dict(runtime="tensorrt"), "runtime=tensorrt: choose from auto, mxnet, openvino, onnxruntime, torch"),
        (dict(batch_size=0), "batch_size=0: give a number at least 1"),
    ],
)
def test_settings_that_do_not_exist_are_refused(exported, kind, settings, line):
    with pytest.raises(InputError) as raised:
        Classifier.load(exported if kind == "onnx" else "cifar10_attention56_thin", **settings)
    assert line in str(raised.value)


def test_mxnet_does_not_compute_an_exported_file(exported):
    with pytest.raises(InputError, match="runtime=mxnet: .* is an exported file; leave it out, or give the parameter"):
        Classifier.load(exported, runtime="mxnet")


@pytest.mark.parametrize("top", [0, -1])
def test_no_classes_are_asked_for(exported, top):
    with pytest.raises(InputError, match=f"top={top}: give a number at least 1"):
        Classifier.load(exported).predict(NOISE, top=top)


def test_openvino_can_still_convert_models(exported):
    """Its converter, which the import leaves out, is imported when it is called."""
    pytest.importorskip("openvino")
    code = (
        f"from resattnet import Classifier; Classifier.load({exported!r}, runtime='openvino'); import openvino; "
        f"print(len(openvino.convert_model({exported!r}).inputs))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and done.stdout.strip() == "1", done.stderr


def test_without_an_engine_both_are_named(exported, monkeypatch):
    monkeypatch.setattr("resattnet.runtimes.engines.Engine.is_installed", False)
    with pytest.raises(InputError) as raised:
        Classifier.load(exported)
    ways = " or ".join(f"python -m pip install -e '.[{extra}]'" for extra in ("openvino", "onnx"))
    assert str(raised.value) == (
        "runtime=auto precision=float32: this takes openvino or onnxruntime, and neither is installed: " + ways
    )
    with pytest.raises(InputError) as raised:
        Classifier.load(exported, precision="bfloat16")
    assert str(raised.value) == (
        "runtime=auto precision=bfloat16: this takes openvino, which is not installed: " + ways.split(" or ")[0]
    )


def test_an_onnx_file_of_another_name_is_known(exported, tmp_path):
    path = str(tmp_path / "net.params")
    shutil.copy(exported, path)
    for name, more in (("predict.py", ["a.png"]), ("export.py", []), ("show_masks.py", ["a.png"])):
        line = refused(script(name, "--params", path, *more, cwd=str(tmp_path)))
        assert f"{path} is an ONNX file: give the parameter file that it was written from" in line
    upper = str(tmp_path / "NET.ONNX")
    shutil.copy(exported, upper)
    assert Classifier.load(upper).classes[0] == "airplane"


def test_a_folder_is_called_one(tmp_path):
    (tmp_path / "net.onnx").mkdir()
    with pytest.raises(InputError, match="net.onnx: it is a folder"):
        Classifier.load(str(tmp_path / "net.onnx"))
