"""Test that a prediction by an ONNX file imports nothing that only other commands need."""

import subprocess
import sys

import pytest
from PIL import Image

from helpers.scripts import ROOT

# What takes time or memory and has no part in a prediction by an engine.
UNUSED = """
mxnet gluoncv mxboard onnx tqdm scipy pandas sklearn matplotlib cv2 http.client urllib.request tarfile multiprocessing
openvino.tools.ovc openvino_telemetry resattnet.models.network resattnet.datasets.catalog resattnet.loaders.workers
resattnet.folders.image_folders resattnet.reports resattnet.training resattnet.machine.mxnet
""".split()


def test_a_prediction_by_an_engine_imports_what_it_uses(engine, exported, tmp_path):
    Image.new("RGB", (40, 30)).save(tmp_path / "a.jpg")
    code = (
        "import sys; from resattnet import commands; "
        f"code = commands.load_command('predict').main(dict(params={exported!r}, images=['a.jpg'], "
        f"runtime={engine!r})); print(*sorted(sys.modules)); sys.exit(code)"
    )
    environment = {"PYTHONPATH": ROOT, "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0 and done.stdout.startswith("a.jpg"), done
    loaded = done.stdout.splitlines()[-1].split()
    assert engine in loaded and "PIL.JpegImagePlugin" in loaded
    assert not set(UNUSED) & set(loaded)


def test_the_unused_part_of_openvino_can_be_used_by_others():
    pytest.importorskip("openvino", reason="python -m pip install openvino")
    code = (
        "from resattnet.runtimes.engines import ENGINES; openvino = ENGINES['openvino'].load(); "
        "import openvino.tools.ovc; print(openvino.tools.ovc.convert_model.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and done.stdout == "convert_model\n", done
