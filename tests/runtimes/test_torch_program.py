"""Test that the commands compute a `.safetensors` file by PyTorch, without MXNet, and what is refused."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from helpers.scripts import ROOT, refused, script
from helpers.torch_nets import import_torch
from helpers.tries import FULL
from resattnet.prediction.classifier import Classifier
from resattnet.system.errors import InputError

torch = import_torch()


@pytest.fixture(scope="module")
def photograph(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("images") / "a.png")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype(np.uint8)).save(path)
    return path


def test_a_file_of_pytorch_needs_no_mxnet(for_torch, photograph):
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['mxnet', 'gluoncv', 'tqdm', 'onnx'])); from resattnet import "
        f"Classifier; net = Classifier.load({for_torch!r}); print(net.model.computed_by, net.predict({photograph!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "{'runtime': 'torch', 'precision': 'float32'} [Prediction(" in done.stdout, done


def test_the_command_takes_a_file_of_pytorch(for_torch, photograph):
    done = script("predict.py", "--params", for_torch, photograph, "--top", 1, "--num-gpus", 0)
    by_mxnet = script("predict.py", "--params", "cifar10_attention56_thin", photograph, "--top", 1, "--num-gpus", 0)
    assert done.returncode == 0 and done.stdout == by_mxnet.stdout


@pytest.mark.skipif(not FULL, reason="takes minutes on one thread: `make fuzz` does it")
def test_a_file_of_pytorch_has_the_top_1_of_mxnet(for_torch, cifar10_dir, tmp_path):
    done = script("cifar10_test.py", "--params", for_torch, "--data-dir", cifar10_dir, cwd=tmp_path)
    assert done.returncode == 0 and "0.9013" in done.stdout, done


@pytest.mark.parametrize(
    "flags, line",
    [
        (["--runtime", "mxnet"], "--runtime mxnet: {path} is an exported file; leave it out, or give the parameter"),
        (["--runtime", "openvino"], "--runtime openvino: {path} is computed by PyTorch in float32: leave it out, or"),
        (["--precision", "bfloat16"], "--precision bfloat16: {path} is computed by PyTorch in float32: leave it out,"),
        (["--num-layers", 56], "--num-layers 56: {path} describes itself; leave it out"),
        (["--num-gpus", 2], "--num-gpus 2: PyTorch computes on one GPU; leave it out"),
    ],
)
def test_what_a_file_of_pytorch_does_not_have_is_refused(for_torch, photograph, flags, line):
    done = script("predict.py", "--params", for_torch, photograph, *flags)
    assert line.format(path=for_torch) in refused(done)


def test_pytorch_computes_no_other_files(tmp_path):
    (tmp_path / "net.onnx").write_bytes(b"\x08")
    for path in (str(tmp_path / "net.onnx"), "cifar10_attention56_thin"):
        with pytest.raises(InputError, match=r"^runtime=torch: PyTorch computes \.safetensors files: write one"):
            Classifier.load(path, runtime="torch")


def test_a_gpu_that_is_not_there_is_refused(for_torch, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="^num_gpus=1: PyTorch sees no GPU; leave it out"):
        Classifier.load(for_torch, num_gpus=1)
