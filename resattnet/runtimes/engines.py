"""The engines that compute an ONNX model: `ENGINES`. Each is imported only when it is used."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import threading
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np

from ..data.metadata import from_texts
from ..machine.cores import core_count
from ..machine.packages import hide_module
from ..system.errors import InputError, reason
from .program import PRECISIONS, Program, Signature
from .torch_program import RUNTIME

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
    start : float
        Seconds of `predict.py` for one photograph: see docs/performance.md, "Start".
    unused : tuple of str
        A module that the package imports, if it can, and that is not used here; and the functions that it takes from
        there.
    """

    package: str
    compile: Callable[[Any, Model, str], Program]
    precisions: Tuple[str, ...]
    extra: str
    start: float
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
        0.65,
        ("openvino.tools.ovc", "convert_model"),
    ),
    "onnxruntime": Engine("onnxruntime", _compile_by_onnxruntime, ("float32",), "onnx", 0.33),
}


RUNTIMES = ("auto", "mxnet", *ENGINES, RUNTIME)


def engines_for(precision: str) -> List[str]:
    """Return the engines that compute a float32 model in 'float32' or 'bfloat16', the one that is preferred first."""
    return [name for name, engine in ENGINES.items() if precision in engine.precisions]


def installed_engines(precision: str) -> List[str]:
    """Return those of `engines_for` that are installed."""
    return [name for name in engines_for(precision) if ENGINES[name].is_installed]


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
        If the engine does not have the precision, or none is installed that has it.
    """
    able = engines_for(precision)
    if runtime == "auto":
        installed = installed_engines(precision)
        if not installed:
            missing = "which is not installed" if len(able) == 1 else "and neither is installed"
            raise InputError(
                f"`runtime=auto` `precision={precision}`: this takes {' or '.join(able)}, {missing}: "
                + " or ".join(ENGINES[name].install for name in able)
            )
        return installed[0]
    if runtime not in able:
        raise InputError(f"`runtime={runtime}` `precision={precision}`: give `runtime={able[0]}`")
    return runtime


def quickest_to_start(runtime: str, precision: str) -> str:
    """Return the engine that first answers for a few images of an ONNX file, or the runtime itself if one is asked for.

    Parameters
    ----------
    runtime, precision : str
        As for `onnx_program.compile_file`.
    """
    installed = installed_engines("float32")
    if runtime != "auto" or precision == "bfloat16" or not installed:
        return runtime
    return min(installed, key=lambda name: ENGINES[name].start)


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
