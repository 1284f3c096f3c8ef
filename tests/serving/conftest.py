"""Fixtures of the tests of the server."""

import importlib.util

import pytest

MISSING = [name for name in ("starlette", "uvicorn", "python_multipart", "httpx") if not importlib.util.find_spec(name)]
if MISSING:
    collect_ignore_glob = ["test_*.py"]


def pytest_report_header():
    if MISSING:
        return f"tests of the server are left out: {', '.join(MISSING)} missing: python -m pip install -e '.[dev]'"


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """Return a server with the default options."""
    from helpers.servers import serving

    with serving(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture(scope="session")
def limited(tmp_path_factory):
    """Return a server with low limits."""
    from helpers.servers import serving

    flags = "--max-bytes 200000 --max-pixels 250000 --max-images 3 --timeout 3".split()
    with serving(tmp_path_factory.mktemp("limited"), *flags) as running:
        yield running


@pytest.fixture(scope="session")
def classifier():
    """Return what the server has to agree with."""
    from helpers.servers import NETWORK
    from resattnet.evaluation.classifier import Classifier

    return Classifier.load(NETWORK, num_gpus=0)
