"""Test that an exported network classifies as the network does, in every engine, without MXNet, and what is refused."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from helpers.scripts import ROOT, refused, script
from resattnet.prediction.classifier import Classifier
from resattnet.prediction.options import PredictionOptions
from resattnet.prediction.prediction_files import FEW, open_classifier
from resattnet.runtimes.engines import ENGINES
from resattnet.system.errors import InputError

onnx = pytest.importorskip("onnx", reason="python -m pip install -e '.[onnx]'")
NAMES = "airplane automobile bird cat deer dog frog horse ship truck".split()


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Return two image files."""
    folder, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    names = [str(folder / name) for name in ("a.png", "b.png")]
    for name in names:
        Image.fromarray(rng.integers(0, 256, (40, 60, 3)).astype(np.uint8)).save(name)
    return names


def test_an_exported_network_needs_no_mxnet(engine, exported, photographs):
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['mxnet', 'gluoncv', 'tqdm', 'onnx'])); from resattnet import "
        f"Classifier; print(Classifier.load({exported!r}, runtime={engine!r}).predict({photographs!r}, top=1))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and done.stdout.count("Prediction(") == 2, done


def test_the_command_predicts_by_an_onnx_file(engine, exported, photographs):
    done = script("predict.py", "--params", exported, photographs[0], "--top", 1, "--runtime", engine)
    by_mxnet = script("predict.py", "--params", "cifar10_attention56_thin", photographs[0], "--top", 1)
    assert done.returncode == 0 and done.stdout == by_mxnet.stdout


def test_other_names_of_the_classes(exported, photographs, tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("\n".join(name.upper() for name in NAMES))
    done = script("predict.py", "--params", exported, photographs[0], "--top", 10, "--classes", names)
    assert done.returncode == 0 and all(name.upper() in done.stdout for name in NAMES)


@pytest.mark.parametrize(
    "flags, line",
    [
        (
            ["--runtime", "mxnet"],
            "--runtime mxnet: {path} is an exported file; leave it out, or give the parameter file",
        ),
        (["--num-layers", 56], "--num-layers 56: {path} describes itself, and runs on the CPU; leave it out"),
        (["--gpus", 0], "--gpus 0: {path} describes itself, and runs on the CPU; leave it out"),
        (["--image-size", 64], "--image-size 64: {path} was exported for 32x32 pixels: export it again with this size"),
        (
            ["--runtime", "onnxruntime", "--precision", "bfloat16"],
            "--runtime onnxruntime --precision bfloat16: give --runtime openvino",
        ),
    ],
)
def test_what_an_onnx_file_does_not_have_is_refused(exported, photographs, flags, line):
    done = script("predict.py", "--params", exported, photographs[0], *flags)
    assert line.format(path=exported) in refused(done)


def test_files_that_are_no_networks_of_ours_are_refused(engine, exported, photographs, tmp_path):
    path = tmp_path / "other.onnx"
    path.write_bytes(b"no model")
    with pytest.raises(InputError, match=r"other\.onnx: not an ONNX file$"):
        Classifier.load(str(path), runtime=engine)
    with open(exported, "rb") as file:
        path.write_bytes(file.read()[:5000])
    with pytest.raises(InputError, match=rf"other\.onnx: not an ONNX file that {engine} can compute \("):
        Classifier.load(str(path), runtime=engine)
    model = onnx.load(exported)
    kept = [part for part in model.metadata_props if part.key not in ("mean", "classes")]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    onnx.save(model, str(path))
    with pytest.raises(InputError, match=r"of this project \(its metadata has no classes, mean\): write it by"):
        Classifier.load(str(path), runtime=engine)


def test_an_engine_that_is_not_installed_is_named_with_the_way_to_install_it(exported, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match=r"onnxruntime cannot be imported .* pip install -e '\.\[onnx\]'"):
        Classifier.load(exported, runtime="onnxruntime")


def test_a_few_photographs_are_predicted_by_the_engine_that_starts_first(exported, monkeypatch):
    for name in ENGINES:
        pytest.importorskip(name)

    def chosen(images, **given):
        return open_classifier(exported, PredictionOptions(**given), images).model.program.runtime

    assert [chosen(images) for images in (0, 1, FEW - 1, FEW)] == ["openvino", "onnxruntime", "onnxruntime", "openvino"]
    assert chosen(1, runtime="openvino") == "openvino"
    monkeypatch.setitem(ENGINES, "onnxruntime", ENGINES["onnxruntime"]._replace(package="no_such_engine"))
    assert chosen(1) == "openvino"
