"""Packaging. Versions of the base and of both MXNets are in the requirements files beside this file, others here."""

import os
import re

from setuptools import find_packages, setup

HERE = os.path.dirname(os.path.abspath(__file__))


def read(name):
    """Return the text of a file beside this one."""
    with open(os.path.join(HERE, name), encoding="utf-8") as stream:
        return stream.read()


def requirements(name):
    """Return the requirements that the file `name` itself holds, less its comments and options (`-r ...`)."""
    return [line.strip() for line in read(name).splitlines() if line.strip() and line.strip()[0] not in "#-"]


ONNX = ["onnx==1.17.0", "onnxruntime==1.19.2"]  # onnx 1.19 dropped a module that MXNet's exporter imports

setup(
    name="resattnet",
    version=re.search(r'__version__ = "(.+)"', read("resattnet/__init__.py")).group(1),
    description="Residual Attention Network (arXiv 1704.06904) for Apache MXNet Gluon",
    license="MIT",
    packages=find_packages(include=["resattnet", "resattnet.*"]),
    package_data={
        "resattnet.data": ["digits.npz", "digits.md"],
        "resattnet.models": ["weights/*"],
        "resattnet.experiments": ["recipes.csv"],
        "resattnet.reports": ["templates/*"],
    },
    python_requires=">=3.8,<3.13",  # MXNet 1.9.1 needs NumPy 1, which has no wheels for Python 3.13
    install_requires=requirements("requirements-base.txt"),
    extras_require={
        # Neither MXNet is in the base: `mxnet` and `mxnet-cu112` own the same folder.
        "cpu": requirements("requirements.txt"),
        "cu112": requirements("requirements-cu112.txt"),
        "onnx": ONNX,
        "bench": ["torch>=2.0,<3"],  # the rival of scripts/benchmark.py; on the CPU only
        # Beside either MXNet, also without a GPU. Not the newest: it is the last that supports MXNet.
        "dali": ["nvidia-dali-cuda120==1.35.0"],
        "dev": ONNX + ["pytest>=7,<9", "pytest-timeout>=2.1", "pytest-cov>=4", "pytest-xdist>=3,<4"],
    },
)
