"""Packaging: the versions of the base and of both MXNets are in the requirements files, all others are here."""

import os
import re
from typing import List

from setuptools import find_packages, setup

HERE = os.path.dirname(os.path.abspath(__file__))


def read(name: str) -> str:
    """Return the text of a file beside this one."""
    with open(os.path.join(HERE, name), encoding="utf-8") as stream:
        return stream.read()


def requirements(name: str) -> List[str]:
    """Return the requirements in the file `name`, without its comments and options (`-r ...`)."""
    return [line.strip() for line in read(name).splitlines() if line.strip() and line.strip()[0] not in "#-"]


ONNX = ["onnx==1.17.0", "onnxruntime==1.19.2"]  # onnx 1.19 dropped a module that MXNet's exporter imports
# The last for Python 3.8 are starlette 0.44, uvicorn 0.33 and python-multipart 0.0.20. uvicorn is without its extra
# `standard`: h11 is fast enough beside a network, and needs no compiler. Jinja2 is in the base too; it is also here, as
# an exported network is served without the base: NumPy, Pillow, the engine and this extra are enough.
SERVE = ["starlette>=0.44,<2", "uvicorn>=0.33,<1", "python-multipart>=0.0.18,<1", "jinja2>=3.0,<4"]
TORCH = ["torch>=2.0,<3", "safetensors>=0.4,<1"]

setup(
    name="resattnet",
    version=re.search(r'__version__ = "(.+)"', read("resattnet/__init__.py")).group(1),
    description="Residual Attention Network (arXiv 1704.06904) for Apache MXNet Gluon",
    long_description=read("README.md"),
    long_description_content_type="text/markdown",
    author="the resattnet authors",
    license="MIT",
    license_files=["LICENSE"],
    keywords=["residual attention network", "image classification", "mxnet", "gluon", "cifar", "deep learning"],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Console",
        "Environment :: GPU :: NVIDIA CUDA :: 11",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "License :: OSI Approved :: MIT License",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3 :: Only",
        *(f"Programming Language :: Python :: 3.{minor}" for minor in range(8, 13)),
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Scientific/Engineering :: Image Recognition",
        "Typing :: Typed",
    ],
    packages=find_packages(include=["resattnet", "resattnet.*"]),
    package_data={
        "resattnet": ["py.typed"],
        "resattnet.datasets": ["digits.npz", "digits.md"],
        "resattnet.zoo": ["weights/*"],
        "resattnet.experiments": ["recipes.csv"],
        "resattnet.reports": ["templates/*"],
        "resattnet.serving": ["templates/*"],
    },
    entry_points={"console_scripts": ["resattnet = resattnet.commands:run"]},
    python_requires=">=3.8,<3.13",  # MXNet 1.9.1 needs NumPy 1, which has no wheels for Python 3.13
    install_requires=requirements("requirements-base.txt"),
    extras_require={
        # Neither MXNet is in the base: `mxnet` and `mxnet-cu112` own the same folder.
        "cpu": requirements("requirements.txt"),
        "cu112": requirements("requirements-cu112.txt"),
        "onnx": ONNX,
        "openvino": ["openvino>=2024.4,<2027"],  # computes exported networks; 2024.4 is the last for Python 3.8
        # Makes INT8 files. Of NNCF's releases, 2.14 is the one that was tested with ONNX files; it needs Python 3.9.
        "int8": [*ONNX, 'nncf>=2.14,<2.15; python_version >= "3.9"'],
        # The networks in PyTorch. torch 2.0 is the first with torch.compile; safetensors 0.4 tells the type of an array
        # before it is read.
        "torch": TORCH,
        # What the command `benchmark` compares with, on the CPU only. torchvision 0.15 is that of torch 2.0.
        "bench": [*TORCH, "torchvision>=0.15,<1"],
        "serve": SERVE,
        # Beside either MXNet, also without a GPU. Not the newest: it is the last that supports MXNet.
        "dali": ["nvidia-dali-cuda120==1.35.0"],
        "dev": [
            *ONNX,
            *SERVE,
            "httpx>=0.24,<1",  # the client of the server's tests
            "pytest>=7,<9",
            "pytest-timeout>=2.1",
            "pytest-cov>=4",
            "pytest-xdist>=3,<4",
            "setuptools>=70.1,<81",  # builds wheels without the package `wheel`
            "ruff>=0.6,<1",
            'mypy>=1.8,<1.15; python_version < "3.9"',
            'mypy>=1.8,<2; python_version >= "3.9"',
        ],
    },
)
