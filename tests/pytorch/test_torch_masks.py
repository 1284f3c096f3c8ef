"""Test that a sheet of soft masks is drawn from a `.safetensors` file as from its parameters, without MXNet."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from helpers.networks import save_net
from helpers.scripts import ROOT, refused, script
from helpers.torch_nets import import_torch
from resattnet.export.export_file import export_file
from resattnet.export.options import ExportOptions
from resattnet.reports.mask_sheet import make_sheet
from resattnet.reports.options import MaskOptions

import_torch()

WITHOUT_MXNET = "import sys; sys.modules['mxnet'] = None; from resattnet.commands import run; run()"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Return a parameter file, the `.safetensors` file of the same network, and an image."""
    folder = tmp_path_factory.mktemp("masks")
    params = save_net(folder)
    path = str(folder / "net.safetensors")
    export_file(params, ExportOptions(to="torch", output=path))
    image = str(folder / "a.png")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)).save(image)
    return params, path, image


def test_the_sheet_shows_what_that_of_the_parameters_shows(files, tmp_path):
    params, path, image = files
    options = MaskOptions(from_test=2, grad_cam=True, output=str(tmp_path / "a.png"))
    (_, ours, maps), (_, theirs, others) = (make_sheet(file, [image], options) for file in (params, path))
    assert [row.title for row, _ in ours] == [row.title for row, _ in theirs] and len(ours) == 3
    assert [found.classes for _, found in ours] == [found.classes for _, found in theirs]
    for one, other in zip(maps, others):
        assert one[:3] == other[:3]
        np.testing.assert_allclose(one.mask, other.mask, atol=1e-4)


def test_the_command_draws_without_mxnet(files, tmp_path):
    _, path, image = files
    words = ["show-masks", "--params", path, image, "--grad-cam", "1"]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_MXNET, *words],
        cwd=str(tmp_path),
        env={"PYTHONPATH": ROOT},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "sheet: sheet.png", done
    assert "stage 3, module 1: masks of" in done.stdout
    with Image.open(str(tmp_path / "sheet.png")) as sheet:
        assert min(sheet.size) > 300


@pytest.mark.parametrize(
    "flags, line",
    [
        (["--num-layers", 56], "--num-layers 56: {path} describes itself; leave it out"),
        (["--channels", 4000], "--channels 4000: the narrowest masks have channels 0 to"),
    ],
)
def test_bad_input_is_one_line(files, flags, line, tmp_path):
    _, path, image = files
    assert line.format(path=path) in refused(
        script("show_masks.py", "--params", path, image, *flags, cwd=str(tmp_path))
    )


def test_an_onnx_file_has_no_masks(files, tmp_path):
    pytest.importorskip("onnxruntime")
    params, _, image = files
    path = str(tmp_path / "net.onnx")
    export_file(params, ExportOptions(to="onnx", output=path))
    line = refused(script("show_masks.py", "--params", path, image, cwd=str(tmp_path)))
    assert f"{path}: an ONNX file computes the logits only; give the parameter or .safetensors file" in line
