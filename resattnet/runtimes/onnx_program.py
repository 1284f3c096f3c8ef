"""Read ONNX models and let an engine make them ready to compute: `compile_model`, `compile_file`."""

from __future__ import annotations

import os
from typing import Any

from ..data.metadata import ONNX_BEGINS
from ..system.calls import command
from ..system.errors import InputError
from .engines import ENGINES, Model, choose_engine
from .program import Program
from .torch_program import RUNTIME, refuse_torch


def compile_model(model: Model, runtime: str, precision: str, title: str) -> Program:
    """Compile an ONNX model.

    Parameters
    ----------
    model : str or bytes
        Path of a file, or its contents.
    runtime, precision : str
        See `choose_engine`.
    title : str
        Name of the model for messages.

    Raises
    ------
    InputError
        If the engine is not installed, it or the CPU does not have the precision, or the model cannot be computed.
    """
    runtime = choose_engine(runtime, precision)
    package = ENGINES[runtime].load()
    try:
        program = ENGINES[runtime].compile(package, model, precision)
    except InputError:
        raise
    except Exception as error:  # the engines have exceptions of their own for models that they cannot read
        raise InputError(f"{title}: not an ONNX file that {runtime} can compute ({_first_line(error)})") from error
    return program._replace(runtime=runtime, precision=precision)


def compile_file(path: str, runtime: str = "auto", precision: str = "auto") -> Program:
    """Compile an ONNX file.

    Parameters
    ----------
    path : str
    runtime : str
        Key of `ENGINES`; 'auto': the first that is installed and has the precision.
    precision : str
        One of `PRECISIONS`; 'auto': as the file is, float32 or INT8.

    Raises
    ------
    InputError
        If the file cannot be read, the engine is not installed, or it, the CPU or the file does not have the precision.
    """
    path = os.path.expanduser(path)
    if not os.path.isfile(path):
        raise InputError(f"{path}: {'it is a folder' if os.path.isdir(path) else 'no such file'}")
    if runtime == RUNTIME:
        refuse_torch(path)
    with open(path, "rb") as file:
        if file.read(1) != ONNX_BEGINS:  # OpenVINO tries it as files of other kinds, and prints what they lack
            raise InputError(f"{path}: not an ONNX file")
    # The layers of an INT8 file say themselves that they are INT8; the others are float32.
    program = compile_model(path, runtime, "bfloat16" if precision == "bfloat16" else "float32", path)
    if program.metadata.get("precision") != "int8":
        return program if precision != "int8" else refuse_int8(path)
    if precision in ("float32", "bfloat16"):
        raise InputError(f"`precision={precision}`: {path} is an INT8 file; leave it out, or give a file in float32")
    return program._replace(precision="int8")


def refuse_int8(path: str) -> Any:
    """Raise InputError: INT8 is asked of a file that is in float32."""
    raise InputError(
        f"`precision=int8`: {path} is in float32: write an INT8 file by {command('export')} --params FILE "
        "--to int8-onnx"
    )


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:200] if lines else type(error).__name__
