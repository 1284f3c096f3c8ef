"""Test the command that shows what is installed."""

import os
import re
import runpy
import sys

import pytest
import setuptools

from helpers.scripts import ROOT
from resattnet.commands import tour
from resattnet.serving.server import PACKAGES

WITHOUT = {"cpu", "cu112", "dev"}  # MXNet itself, and what the project's own tests need


@pytest.fixture
def extras(monkeypatch):
    """Return the extras of setup.py: their requirements by name."""
    given = {}
    monkeypatch.setattr(setuptools, "setup", lambda **settings: given.update(settings))
    runpy.run_path(os.path.join(ROOT, "setup.py"))
    return given["extras_require"]


def test_each_extra_is_listed_with_its_packages(extras):
    packages = {
        name: tuple(re.match(r"[\w-]+", requirement).group() for requirement in requirements)
        for name, requirements in extras.items()
        if name not in WITHOUT
    }
    assert tour.EXTRAS == packages


def test_the_server_looks_for_every_package_of_its_extra():
    assert tuple(PACKAGES) == tour.EXTRAS["serve"]


def test_an_extra_says_what_is_missing_and_how_to_get_it(monkeypatch):
    monkeypatch.setattr("resattnet.machine.packages.installed_version", {"onnx": "1.17.0"}.get)
    lines = dict(re.fullmatch(r"  extra (\w+) +(.+)", line).groups() for line in list(tour.describe_versions())[1:])
    assert list(lines) == list(tour.EXTRAS)
    assert lines["onnx"] == "missing onnxruntime: python -m pip install -e '.[onnx]'"
    assert lines["openvino"] == "missing openvino: python -m pip install -e '.[openvino]'"
    monkeypatch.setattr(sys, "version_info", (3, 8, 18))
    assert any(re.fullmatch(r"  extra int8 +needs Python 3.9", line) for line in tour.describe_versions())
