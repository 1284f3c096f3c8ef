"""Test that an exported network classifies as the network does, in every engine, without MXNet, and what is refused."""

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from helpers.scripts import ROOT, refused, script
from resattnet.evaluation.classifier import Classifier
from resattnet.runtimes.engines import ENGINES
from resattnet.system.errors import InputError

onnx = pytest.importorskip("onnx", reason="python -m pip install -e '.[onnx]'")
NAMES = "airplane automobile bird cat deer dog frog horse ship truck".split()


@pytest.fixture(params=sorted(ENGINES))
def engine(request):
    pytest.importorskip(request.param, reason=f"python -m pip install {request.param}")
    return request.param


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    pytest.importorskip("onnxruntime", reason="python -m pip install -e '.[onnx]'")
    path = tmp_path_factory.mktemp("exported") / "net.onnx"
    done = script("export.py", "--params", "cifar10_attention56_thin", "--to", "onnx", "--output", path)
    assert done.returncode == 0, done
    return str(path)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Images of many shapes and modes; smooth, so that a wrong crop changes the answer."""
    folder, rng = tmp_path_factory.mktemp("photographs"), np.random.default_rng(0)
    for number in range(24):
        shape = [(40, 60), (60, 40), (33, 33), (200, 31), (32, 32), (300, 401)][number % 6]
        pixels = rng.integers(0, 256, (4, 4, 3)).astype(np.uint8)
        image = Image.fromarray(pixels).resize(shape, Image.BICUBIC)
        mode = ["RGB", "L", "RGBA", "CMYK", "P", "I;16"][number // 2 % 6]
        if mode == "I;16":
            image = Image.fromarray((np.asarray(image.convert("L")).astype(np.uint16) * 257).astype(np.uint16))
        else:
            image = image.convert(mode)
        image.save(folder / f"{number:02d}.{'tif' if mode == 'CMYK' else 'png'}")
    return sorted(str(folder / name) for name in os.listdir(folder))


def test_photographs_of_all_shapes_and_modes_get_the_answers_of_mxnet(engine, exported, photographs):
    expected = Classifier.load("cifar10_attention56_thin", num_gpus=0).predict(photographs, top=10)
    found = Classifier.load(exported, runtime=engine, batch_size=7).predict(photographs, top=10)
    for mine, theirs in zip(found, expected):
        assert mine.classes[0] == theirs.classes[0]
        by_class = dict(zip(theirs.classes, theirs.probabilities))
        for name, probability in zip(*mine[::2]):
            assert probability == pytest.approx(by_class[name], abs=2e-4)
    assert set(found[0].classes) == set(NAMES)


def test_an_exported_network_needs_no_mxnet(engine, exported, photographs):
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['mxnet', 'gluoncv', 'tqdm', 'onnx'])); from resattnet import "
        f"Classifier; print(Classifier.load({exported!r}, runtime={engine!r}).predict({photographs[:2]!r}, top=1))"
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
        (["--runtime", "mxnet"], "--runtime mxnet: {path} is an ONNX file; leave it out, or give the parameter file"),
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


def test_the_runtimes_are_for_onnx_files(photographs):
    done = script("predict.py", "--params", "cifar10_attention56_thin", photographs[0], "--runtime", "openvino")
    assert "--runtime openvino: is for ONNX files: write one by python scripts/export.py --params" in refused(done)


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
    with pytest.raises(InputError, match="runtime=onnxruntime: cannot be imported .* pip install onnxruntime"):
        Classifier.load(exported, runtime="onnxruntime")
