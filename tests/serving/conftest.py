"""Fixtures of the tests of the server."""

import pytest


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """Return a server with the default options."""
    from helpers.servers import serving

    with serving(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """Return an ONNX file of the network, whose servers start faster: they do not import MXNet."""
    for name in ("onnx", "onnxruntime"):
        pytest.importorskip(name, reason="python -m pip install -e '.[onnx]'")
    from helpers.servers import NETWORK
    from resattnet.export.export_file import export_file
    from resattnet.export.options import ExportOptions

    path = str(tmp_path_factory.mktemp("exported") / "net.onnx")
    export_file(NETWORK, ExportOptions(to="onnx", output=path))
    return path


@pytest.fixture(scope="session")
def limited(exported, tmp_path_factory):
    """Return a server with low limits."""
    from helpers.servers import serving

    flags = "--max-bytes 200000 --max-pixels 250000 --max-images 3 --timeout 5".split()
    with serving(tmp_path_factory.mktemp("limited"), *flags, params=exported) as running:
        yield running


@pytest.fixture(scope="session")
def classifier():
    """Return what the server has to agree with."""
    from helpers.servers import NETWORK
    from resattnet.prediction.classifier import Classifier

    return Classifier.load(NETWORK, num_gpus=0)
