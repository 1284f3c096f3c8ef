"""Choose what computes a network of MXNet: MXNet itself, or an engine that it is converted for."""

from __future__ import annotations

import importlib.util
from typing import Optional

from ..system.errors import InputError
from .engines import ENGINES, check_names, choose_engine, engines_for, installed_engines
from .onnx_program import refuse_int8
from .torch_program import RUNTIME, refuse_torch

# Pixels of all images, from which on an engine is chosen unasked. Conversion and compilation take 1 to 1.5 s of one
# core of an EPYC with AVX2 (float32, thin and full Attention-56). OpenVINO saves that in 1,000 images of 32x32 pixels
# (thin) or 700 (full); the check by MXNet, and the memory for both, are a reason to ask for more.
LARGE = 2_000 * 32 * 32


def choose_for_network(path: str, runtime: str = "auto", precision: str = "auto", pixels: int = 0) -> Optional[str]:
    """Return the engine that computes a network of MXNet; None: MXNet computes it.

    Parameters
    ----------
    path : str
        The parameter file, for messages.
    runtime : str
        'mxnet' or a key of `ENGINES`. 'auto': the first engine that is installed, beside the package `onnx`, if there
        are at least `LARGE` pixels to compute; else MXNet.
    precision : str
        One of `PRECISIONS`. 'auto': float32. Only engines have bfloat16, so it always takes one.
    pixels : int
        Height x width x number of all images; 0 where that is unknown.

    Raises
    ------
    InputError
        If INT8 or PyTorch is asked for, which have files of their own; if the runtime does not have the precision, or a
        package is missing.
    """
    check_names(runtime, precision)
    if runtime == RUNTIME:
        refuse_torch(path)
    if precision == "int8":
        if runtime == "mxnet":
            raise InputError("`runtime=mxnet` `precision=int8`: MXNet computes INT8 by `graph=int8`")
        refuse_int8(path)
    precision = "float32" if precision == "auto" else precision
    if runtime == "mxnet":
        if precision != "float32":
            raise InputError(f"`runtime=mxnet` `precision={precision}`: give `runtime={engines_for(precision)[0]}`")
        return None
    if runtime == "auto" and precision == "float32":
        installed = installed_engines(precision)
        return installed[0] if installed and has_onnx() and pixels >= LARGE else None
    name = choose_engine(runtime, precision)
    check_packages(name)
    return name


def check_packages(engine: str) -> None:
    """Raise InputError if an engine, or the package that converts a network for it, is not installed.

    Parameters
    ----------
    engine : str
        Key of `ENGINES`.
    """
    ENGINES[engine].load()
    if not has_onnx():
        raise InputError(
            f"for {engine}, a parameter file is converted by onnx, which is not installed: "
            "python -m pip install -e '.[onnx]'"
        )


def has_onnx() -> bool:
    """Return whether the package `onnx` is installed, which converts a network for an engine."""
    return importlib.util.find_spec("onnx") is not None
