"""Fixtures of the tests of the engines: an exported network, and an engine that is installed."""

import pytest

from helpers.torch_nets import import_torch
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


@pytest.fixture(scope="session")
def for_torch(tmp_path_factory):
    """Return the packaged network as a `.safetensors` file."""
    import_torch()
    path = str(tmp_path_factory.mktemp("exported") / "net.safetensors")
    export_file("cifar10_attention56_thin", ExportOptions(to="torch", output=path))
    return path
