"""The engines that compute an ONNX model: `ENGINES`. Each is imported only when it is used."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import threading
from typing import Any, Callable, Dict, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np

from ..data.metadata import ONNX_BEGINS, from_texts
from ..machine.cores import core_count
from ..machine.packages import hide_module
from ..system.calls import command
from ..system.errors import InputError, reason
from .program import PRECISIONS, Program, Signature
from .torch_program import RUNTIME, refuse_torch

Model = Union[str, bytes]  # path of an ONNX file, or its contents


class Engine(NamedTuple):
    """A row of `ENGINES`.

    Attributes
    ----------
    package : str
        The Python package, which pip knows by the same name.
    compile : callable
        Returns the `Program` of a `Model` and one of `precisions`, given the package.
    precisions : tuple of str
        Which of `PRECISIONS` it computes a float32 model in.
    extra : str
        The optional part of this package that installs it.
    unused : tuple of str
        A module that the package imports, if it can, and that is not used here; and the functions that it takes from
        there.
    """

    package: str
    compile: Callable[[Any, Model, str], Program]
    precisions: Tuple[str, ...]
    extra: str
    unused: Tuple[str, ...] = ()

    @property
    def is_installed(self) -> bool:
        """Whether the package is there; it is not imported."""
        return importlib.util.find_spec(self.package) is not None

    def load(self) -> Any:
        """Import the package, or raise InputError with the way to install it."""
        try:
            if not self.unused or self.package in sys.modules:
                return importlib.import_module(self.package)
            hidden, *functions = self.unused
            with hide_module(hidden):
                package = importlib.import_module(self.package)
        except ImportError as error:
            raise InputError(f"{self.package} cannot be imported ({reason(error)}): {self.install}") from error
        for name in functions:  # other users of the package in this process may call them
            setattr(package, name, _imported_at_first_call(hidden, name))
        return package

    @property
    def install(self) -> str:
        """The command that installs the package."""
        return f"python -m pip install -e '.[{self.extra}]'"


def _imported_at_first_call(module: str, name: str) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        return getattr(importlib.import_module(module), name)(*args, **kwargs)

    return call


def open_session(onnxruntime: Any, model: Model, set_up: Callable[[Any], None] = lambda settings: None) -> Any:
    """Return a session of onnxruntime, given the package, that computes an ONNX model on the CPU.

    `set_up` may change the `SessionOptions`.
    """
    settings = onnxruntime.SessionOptions()
    set_up(settings)
    settings.intra_op_num_threads = core_count()  # default: all cores, even those not ours to use
    return onnxruntime.InferenceSession(model, settings, providers=["CPUExecutionProvider"])


def _compile_by_onnxruntime(onnxruntime: Any, model: Model, _precision: str) -> Program:
    session = open_session(onnxruntime, model)
    takes, gives = session.get_inputs(), session.get_outputs()
    inputs, outputs = (tuple(part.name for part in parts) for parts in (takes, gives))
    kind = {"tensor(float)": "float32", "tensor(uint8)": "uint8"}.get(takes[0].type, takes[0].type)
    return Program(
        from_texts(session.get_modelmeta().custom_metadata_map),
        inputs,
        outputs,
        lambda images: session.run(None, {inputs[0]: images})[0],
        signature=Signature(kind, _lengths(takes[0].shape), _lengths(gives[0].shape or [None])[-1]),
    )


def _lengths(shape: Sequence[Any]) -> Tuple[Optional[int], ...]:
    """Return a shape in which an axis of any length, which onnxruntime gives a name or None, is None."""
    return tuple(length if isinstance(length, int) else None for length in shape)


def openvino_settings(precision: str) -> Dict[str, Any]:
    """Return the settings with which OpenVINO computes a model in a precision."""
    return {
        "INFERENCE_PRECISION_HINT": {"float32": "f32", "bfloat16": "bf16"}[precision],
        "INFERENCE_NUM_THREADS": core_count(),
        "PERFORMANCE_HINT": "LATENCY",  # one batch at a time, on all cores
    }


def _compile_by_openvino(openvino: Any, source: Model, precision: str) -> Program:
    core = openvino.Core()
    capabilities = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if precision == "bfloat16" and "BF16" not in capabilities:
        raise InputError(f"`precision={precision}`: this CPU has no bfloat16; give `precision=float32`")
    model = core.read_model(source)
    request = core.compile_model(model, "CPU", openvino_settings(precision)).create_infer_request()
    lock = threading.Lock()  # a request computes one batch at a time, whatever threads ask

    def run(images: np.ndarray) -> np.ndarray:
        with lock:
            return next(iter(request.infer([images], share_inputs=True).values())).astype(np.float32)

    takes, gives = (
        [None if axis.is_dynamic else axis.get_length() for axis in part.get_partial_shape()]
        for part in (model.inputs[0], model.outputs[0])
    )
    kind = model.inputs[0].get_element_type().get_type_name()
    return Program(
        _metadata_of(model),
        tuple(part.get_any_name() for part in model.inputs),
        tuple(part.get_any_name() for part in model.outputs),
        run,
        signature=Signature({"f32": "float32", "u8": "uint8"}.get(kind, kind), tuple(takes), (gives or [None])[-1]),
    )


def _metadata_of(model: Any) -> Dict[str, Any]:
    """Return the metadata of the ONNX file from which OpenVINO has read a model; empty if it has none."""
    if not model.has_rt_info(["framework"]):
        return {}
    texts = {name: str(value.value) for name, value in model.get_rt_info(["framework"]).astype(dict).items()}
    return from_texts(texts)


# In the order in which they are preferred: the faster one first.
ENGINES: Dict[str, Engine] = {
    # The converter of other frameworks' models, with what it needs, takes a third of the time of the import.
    "openvino": Engine(
        "openvino",
        _compile_by_openvino,
        ("float32", "bfloat16"),
        "openvino",
        ("openvino.tools.ovc", "convert_model"),
    ),
    "onnxruntime": Engine("onnxruntime", _compile_by_onnxruntime, ("float32",), "onnx"),
}


RUNTIMES = ("auto", "mxnet", *ENGINES, RUNTIME)


def choose_engine(runtime: str, precision: str) -> str:
    """Return the engine that computes a float32 model in a precision.

    Parameters
    ----------
    runtime : str
        Key of `ENGINES`; 'auto': the first that is installed and has the precision.
    precision : {'float32', 'bfloat16'}

    Raises
    ------
    InputError
        If the engine does not have the precision.
    """
    able = [name for name, engine in ENGINES.items() if precision in engine.precisions]
    if runtime == "auto":
        return next((name for name in able if ENGINES[name].is_installed), able[0])
    if runtime not in able:
        raise InputError(f"`runtime={runtime}` `precision={precision}`: give `runtime={able[0]}`")
    return runtime


def check_names(runtime: str, precision: str) -> None:
    """Raise InputError if there is no such runtime or no such precision.

    Parameters
    ----------
    runtime : str
        One of `RUNTIMES`.
    precision : str
        'auto' or one of `PRECISIONS`.
    """
    for name, value, known in (("runtime", runtime, RUNTIMES), ("precision", precision, ("auto", *PRECISIONS))):
        if value not in known:
            raise InputError(f"`{name}={value}`: choose from {', '.join(known)}")


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
    if runtime == "auto" and precision == "float32" and not any(engine.is_installed for engine in ENGINES.values()):
        ways = " or ".join(engine.install for engine in ENGINES.values())
        raise InputError(f"{title}: {' and '.join(ENGINES)} compute it, and neither is installed: {ways}")
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
