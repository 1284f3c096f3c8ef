"""Build the work of the contenders in OpenVINO and onnxruntime: by our path, or by the engine's own calls."""

from __future__ import annotations

import functools
from typing import Any, Callable, Iterator, Sequence

import numpy as np

from ..machine.cores import core_count
from ..runtimes.engines import ENGINES, open_session, openvino_settings
from ..runtimes.int8_graph import quantize_model
from ..runtimes.onnx_graph import make_model
from ..runtimes.onnx_program import compile_model
from ..system.errors import InputError
from .builders import calibration_noise, initialised_net, random_batch, repeated
from .contender import Unavailable, threads
from .options import BenchmarkOptions
from .results import Result

TITLES = {"openvino": "OpenVINO", "onnxruntime": "onnxruntime"}
PRECISIONS = (
    ("openvino", "float32"),
    ("openvino", "bfloat16"),
    ("openvino", "INT8"),
    ("onnxruntime", "float32"),
    ("onnxruntime", "INT8"),
)
BARE = ", bare"  # end of the name of a contender that loops over the engine's own calls


def engine_inference(options: BenchmarkOptions, engine: str, precision: str, bare: bool = False) -> Callable[[], int]:
    """Measure the logits of a batch by an engine.

    Parameters
    ----------
    engine : str
        Key of `ENGINES`.
    precision : {'float32', 'bfloat16', 'INT8'}
    bare : bool
        False: by our path, `Program.run`, from a NumPy array to a NumPy array. True: by the engine's own calls, whose
        input and output have their place before.
    """
    title = f"{TITLES[engine]} {precision}"
    if threads() != core_count():
        raise Unavailable(f"{title} is left out: engines take all {core_count()} cores, and OMP_NUM_THREADS is another")
    compute_in = "bfloat16" if precision == "bfloat16" else "float32"  # the layers of an INT8 model say it themselves
    try:
        package = ENGINES[engine].load()
        model = _model(options.num_layers, options.widths, options.unit, precision == "INT8")
        program = compile_model(model, engine, compute_in, title)
    except InputError as error:
        raise Unavailable(f"{title} is left out: {error}") from error
    images = random_batch(options)[0]
    if not bare:
        return repeated(lambda: program.run(images), options)
    return repeated(_BARE_CALLS[engine](package, model, compute_in, images), options)


@functools.lru_cache(maxsize=1)
def _model(num_layers: int, widths: str, unit: str, int8: bool) -> bytes:
    """Return the ONNX model of the network with random weights; in INT8, it is calibrated on noise."""
    net = initialised_net(BenchmarkOptions(num_layers=num_layers, widths=widths, unit=unit))
    model = make_model(net, 32, 32)
    return (quantize_model(model, calibration_noise()) if int8 else model).SerializeToString()


def _call_openvino(openvino: Any, model: bytes, precision: str, images: np.ndarray) -> Callable[[], Any]:
    core = openvino.Core()
    request = core.compile_model(core.read_model(model), "CPU", openvino_settings(precision)).create_infer_request()
    request.set_input_tensor(openvino.Tensor(images, shared_memory=True))

    def call() -> Any:
        request.infer()
        return request.get_output_tensor().data

    return call


def _call_onnxruntime(onnxruntime: Any, model: bytes, precision: str, images: np.ndarray) -> Callable[[], Any]:
    session = open_session(onnxruntime, model)
    classes = session.get_outputs()[0].shape[1]
    logits = onnxruntime.OrtValue.ortvalue_from_shape_and_type([len(images), classes], np.float32)
    binding = session.io_binding()
    binding.bind_ortvalue_input("images", onnxruntime.OrtValue.ortvalue_from_numpy(images))
    binding.bind_ortvalue_output("logits", logits)

    def call() -> Any:
        session.run_with_iobinding(binding)
        return logits.numpy()

    return call


_BARE_CALLS = {"openvino": _call_openvino, "onnxruntime": _call_onnxruntime}


def compare_with_bare(results: Sequence[Result]) -> Iterator[str]:
    """Yield, for each engine, the speed of our path relative to that of the engine's own calls."""
    speeds = {result.name: np.array(result.speeds) for result in results}
    for name, own in speeds.items():
        if name + BARE in speeds:
            ratio = float(np.median(own / speeds[name + BARE]))
            yield f"{name}: our path has {ratio:.3f} of the speed of the engine's own calls"
