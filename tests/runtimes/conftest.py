"""Fixtures of the tests of the engines: an exported network, and an engine that is installed."""

import pytest

from resattnet.export.export_file import export_file
from resattnet.export.options import ExportOptions
from resattnet.runtimes.engines import ENGINES


@pytest.fixture(params=sorted(ENGINES))
def engine(request):
    pytest.importorskip(request.param, reason=f"python -m pip install {request.param}")
    return request.param


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """Return the packaged network as an ONNX file."""
    for name in ("onnx", "onnxruntime"):
        pytest.importorskip(name, reason="python -m pip install -e '.[onnx]'")
    path = str(tmp_path_factory.mktemp("exported") / "net.onnx")
    export_file("cifar10_attention56_thin", ExportOptions(output=path))
    return path
