"""The engines that compute an ONNX file: `ENGINES`. Each is imported only when it is used."""

from __future__ import annotations

import importlib
import importlib.util
import os
from typing import Any, Callable, Dict, NamedTuple, Tuple

import numpy as np

from ..machine.cores import core_count
from ..system.errors import InputError, reason

PRECISIONS = ("float32", "bfloat16")
_FIRST_BYTE = b"\x08"  # of the field `ir_version`, with which every ONNX file begins


class Program(NamedTuple):
    """An ONNX file that an engine has compiled.

    Attributes
    ----------
    metadata : dict of str to str
        The metadata of the file.
    inputs, outputs : tuple of str
        Names of its inputs and outputs.
    run : callable
        Returns the logits (N, classes) of normalised images, float32 (N, 3, H, W).
    """

    metadata: Dict[str, str]
    inputs: Tuple[str, ...]
    outputs: Tuple[str, ...]
    run: Callable[[np.ndarray], np.ndarray]


class Engine(NamedTuple):
    """A row of `ENGINES`.

    Attributes
    ----------
    package : str
        The Python package, which pip knows by the same name.
    compile : callable
        Returns the `Program` of a file and a precision, given the package.
    precisions : tuple of str
        Which of `PRECISIONS` it computes in.
    """

    package: str
    compile: Callable[[Any, str, str], Program]
    precisions: Tuple[str, ...]

    @property
    def is_installed(self) -> bool:
        """Whether the package is there; it is not imported."""
        return importlib.util.find_spec(self.package) is not None

    def load(self) -> Any:
        """Import the package, or raise InputError with the way to install it."""
        try:
            return importlib.import_module(self.package)
        except ImportError as error:
            raise InputError(
                f"`runtime={self.package}`: cannot be imported ({reason(error)}): python -m pip install {self.package}"
            ) from error


def open_session(onnxruntime: Any, path: str) -> Any:
    """Return a session of onnxruntime, given the package, that computes an ONNX file on the CPU."""
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = core_count()  # default: all cores, even those not ours to use
    return onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])


def _compile_by_onnxruntime(onnxruntime: Any, path: str, _precision: str) -> Program:
    session = open_session(onnxruntime, path)
    inputs, outputs = (tuple(part.name for part in parts) for parts in (session.get_inputs(), session.get_outputs()))
    return Program(
        dict(session.get_modelmeta().custom_metadata_map),
        inputs,
        outputs,
        lambda images: session.run(None, {inputs[0]: images})[0],
    )


def _compile_by_openvino(openvino: Any, path: str, precision: str) -> Program:
    core = openvino.Core()
    capabilities = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if precision == "bfloat16" and "BF16" not in capabilities:
        raise InputError(f"`precision={precision}`: this CPU has no bfloat16; give `precision=float32`")
    model = core.read_model(path)
    settings = {
        "INFERENCE_PRECISION_HINT": {"float32": "f32", "bfloat16": "bf16"}[precision],
        "INFERENCE_NUM_THREADS": core_count(),
        "PERFORMANCE_HINT": "LATENCY",  # one batch at a time, on all cores
    }
    request = core.compile_model(model, "CPU", settings).create_infer_request()
    return Program(
        _metadata_of(model),
        tuple(part.get_any_name() for part in model.inputs),
        tuple(part.get_any_name() for part in model.outputs),
        lambda images: next(iter(request.infer([images], share_inputs=True).values())).astype(np.float32),
    )


def _metadata_of(model: Any) -> Dict[str, str]:
    """Return the metadata of the ONNX file from which OpenVINO has read a model; empty if it has none."""
    if not model.has_rt_info(["framework"]):
        return {}
    return {name: str(value.value) for name, value in model.get_rt_info(["framework"]).astype(dict).items()}


# In the order in which they are preferred: the faster one first.
ENGINES: Dict[str, Engine] = {
    "openvino": Engine("openvino", _compile_by_openvino, ("float32", "bfloat16")),
    "onnxruntime": Engine("onnxruntime", _compile_by_onnxruntime, ("float32",)),
}


def choose_engine(runtime: str = "auto", precision: str = "float32") -> str:
    """Return the key of `ENGINES` that `compile_file` takes for these parameters.

    Raises
    ------
    InputError
        If the engine does not have the precision.
    """
    able = {name: engine for name, engine in ENGINES.items() if precision in engine.precisions}
    if runtime == "auto":
        return next((name for name, engine in able.items() if engine.is_installed), next(iter(able)))
    if runtime not in able:
        raise InputError(f"`runtime={runtime}` `precision={precision}`: give `runtime={next(iter(able))}`")
    return runtime


def compile_file(path: str, runtime: str = "auto", precision: str = "float32") -> Program:
    """Compile an ONNX file.

    Parameters
    ----------
    path : str
    runtime : str
        Key of `ENGINES`; 'auto': the first that is installed and has the precision.
    precision : str
        One of `PRECISIONS`.

    Raises
    ------
    InputError
        If the file cannot be read, the engine is not installed, or it or the CPU does not have the precision.
    """
    path = os.path.expanduser(path)
    if not os.path.isfile(path):
        raise InputError(f"{path}: no such file")
    with open(path, "rb") as file:
        if file.read(1) != _FIRST_BYTE:  # OpenVINO tries it as files of other kinds, and prints what they lack
            raise InputError(f"{path}: not an ONNX file")
    runtime = choose_engine(runtime, precision)
    package = ENGINES[runtime].load()
    try:
        return ENGINES[runtime].compile(package, path, precision)
    except InputError:
        raise
    except Exception as error:  # the engines have exceptions of their own for files that they cannot read
        raise InputError(f"{path}: not an ONNX file that {runtime} can compute ({_first_line(error)})") from error


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:200] if lines else type(error).__name__
